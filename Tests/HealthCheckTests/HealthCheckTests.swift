import HTTP
import NIOCore
import NIOPosix
import Pipeline
import Synchronization
import Testing

@testable import HealthCheck

/// Without these a load balancer or Kubernetes sends data to a gateway that cannot take it, or restarts a well one.
@Suite struct HealthCheckTests {
    /// Scenario: start, listen, refuse for want of memory, shut down.
    /// Guarantees: the Collector's status, text and times; shortage of memory is no reason to restart.
    @Test func thePageSaysWhatTheCollectorsSays() async throws {
        let time = Time()
        let state = HealthState { time.now.load(ordering: .relaxed) }
        let check = HealthCheck(
            group: MultiThreadedEventLoopGroup.singleton, host: "127.0.0.1", port: 0, key: "k", state: state)
        let port = try #require(try await check.listen().port)

        let down = #"{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}"#
        #expect(try await get(port, "/") == Page(status: 503, body: down))
        state.isListening = true
        time.now.add(62_500_000_000, ordering: .relaxed)
        let up = #"{"status":"Server available","upSince":"2026-11-23T10:00:00.25Z","uptime":"1m2.5s"}"#
        #expect(try await get(port, "/") == Page(status: 200, body: up))
        #expect(try await get(port, "/any/probe?x") == Page(status: 200, body: up))
        state.beginRefusing()
        #expect(try await get(port, "/").status == 200)
        state.isDraining = true
        #expect(try await get(port, "/") == Page(status: 503, body: down))
        _ = await check.stop(until: .now())
    }

    @Test func theUsersOwnAnswersAreGiven() async throws {
        let state = HealthState()
        let check = HealthCheck(
            group: MultiThreadedEventLoopGroup.singleton, host: "localhost", port: 0, path: "/status",
            healthyBody: "OK", unhealthyBody: "not OK", key: "k", state: state)
        let port = try #require(try await check.listen().port)
        #expect(try await get(port, "/status") == Page(status: 503, body: "not OK"))
        state.isListening = true
        #expect(try await get(port, "/status") == Page(status: 200, body: "OK"))
        #expect(try await get(port, "/").status == 404)
        _ = await check.stop(until: .now())
    }

    @Test func aTakenPortIsNamedWithItsKey() async throws {
        let state = HealthState()
        let group = MultiThreadedEventLoopGroup.singleton
        let first = HealthCheck(group: group, host: "127.0.0.1", port: 0, key: "k", state: state)
        let port = try #require(try await first.listen().port)
        let second = HealthCheck(
            group: group, host: "127.0.0.1", port: port, key: "extensions::health_check::endpoint",
            state: state)
        let error = await #expect(throws: AdminServerError.self) { try await second.listen() }
        #expect(
            error?.description
                == "Cannot listen on 127.0.0.1:\(port): another process listens there. "
                + "Free that port or change extensions::health_check::endpoint.")
        _ = await second.stop(until: .now())
        _ = await first.stop(until: .now())
    }

    @Test func kubernetesProbesSeeLiveAndReady() throws {
        let state = HealthState()
        let routes = HealthCheck.kubernetesRoutes(state)
        let request = AdminRequest(path: "/")
        let live = try #require(routes["/health/live"])
        let ready = try #require(routes["/health/ready"])
        #expect(ready(request).status == 503)
        #expect(live(request).status == 200)
        state.isListening = true
        #expect(ready(request).status == 200)
        state.beginRefusing()
        #expect(ready(request).status == 503)
        #expect(
            String(decoding: ready(request).body, as: UTF8.self)
                == "Refusing data: memory use is above the soft limit of memory_limiter.\n")
        #expect(live(request).status == 200)
        state.endRefusing()
        state.isDraining = true
        #expect(ready(request).status == 503)
        #expect(live(request).status == 200)
    }

    @Test(
        arguments: [
            (0, "0s"), (7, "7ns"), (20_000, "20\u{b5}s"), (1_500_000, "1.5ms"), (999_999_999, "999.999999ms"),
            (1_000_000_000, "1s"), (3_000_000_001, "3.000000001s"), (120_000_000_000, "2m0s"),
            (3_723_500_000_000, "1h2m3.5s"), (360_000_000_000_000, "100h0m0s"),
        ] as [(Int64, String)])
    func uptimeIsSpelledAsTheCollectorDoes(nanoseconds: Int64, text: String) {
        #expect(durationText(nanoseconds: nanoseconds) == text)
    }
}

private final class Time: Sendable {
    let now = Atomic<Int64>(1_795_428_000_250_000_000)
}

private struct Page: Equatable {
    var status: Int
    var body: String
}

/// One HTTP/1.1 request on a connection of its own.
private func get(_ port: Int, _ path: String) async throws -> Page {
    let collector = Collector()
    let request = ByteBuffer(string: "GET \(path) HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    // On the event loop throughout: a busy machine may let a test wait longer than the server waits for a request.
    try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .channelInitializer { $0.pipeline.addHandler(collector) }
        .connect(host: "127.0.0.1", port: port)
        .flatMap { channel in channel.writeAndFlush(request).flatMap { channel.closeFuture } }
        .get()
    let text = collector.received.withLock { String(buffer: $0) }
    let status = try #require(text.split(separator: " ").dropFirst().first.flatMap { Int($0) })
    let end = try #require(text.firstRange(of: "\r\n\r\n"))
    return Page(status: status, body: String(text[end.upperBound...]))
}

/// Keeps everything that a connection receives.
private final class Collector: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    let received = Mutex(ByteBuffer())

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        received.withLock { _ = $0.writeBuffer(&buffer) }
    }
}
