import HTTP
import NIOCore
import NIOPosix
import OTLP
import TestSupport
import Testing

@testable import OTLPClient

/// A balancer on a loop of its own, called from a test.
private final class Caller: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the balancer is used on `loop` only.
    private let loop: any EventLoop
    private let balancer: GRPCBalancer
    private static let head = HTTP2Fields([
        (":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "name:1"),
        ("content-type", "application/grpc"),
    ])

    init(
        _ group: any EventLoopGroup, _ resolver: FakeResolver,
        policy: OTLPExporterConfig.Balancer = .roundRobin,
        host: String = "tempo", port: Int = 4317, connections: Int = 1, waitForReady: Bool = false
    ) {
        loop = group.next()
        var settings = GRPCBalancer.Settings(
            channel: GRPCChannel.Settings(host: host, port: port, tls: nil, keepalive: nil),
            policy: policy, connections: connections, waitForReady: waitForReady)
        settings.resolveInterval = .milliseconds(20)
        settings.resolvePause = .milliseconds(10)
        balancer = GRPCBalancer(
            settings, resolver: resolver, eventLoop: loop, logger: makeSilentLogger())
    }

    func call(timeout: TimeAmount = .seconds(10)) async -> GRPCResult {
        let result = try? await loop.flatSubmit { [self] in
            let promise = loop.makePromise(of: GRPCResult.self)
            balancer.call(
                Self.head, body: [ByteBuffer(repeating: 0, count: 5)], deadline: .now() + timeout
            ) { promise.succeed($0) }
            return promise.futureResult
        }.get()
        return result ?? GRPCResult(code: .internal, message: "the loop has ended")
    }

    func calls(_ count: Int) async -> [GRPCCode] {
        var codes: [GRPCCode] = []
        for _ in 0..<count { codes.append(await call().code) }
        return codes
    }

    func close() async throws {
        try await loop.flatSubmit { [self] in balancer.close() }.get()
    }
}

private func eventually(_ condition: () async -> Bool) async -> Bool {
    for _ in 0..<500 {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// Three servers, a resolver that knows them, and what calls them; all ended after the body.
private func withServers(
    _ hosts: [String] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"],
    policy: OTLPExporterConfig.Balancer = .roundRobin, connections: Int = 1, waitForReady: Bool = false,
    _ body: (_ servers: [GRPCServer], FakeResolver, Caller) async throws -> Void
) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let servers = try await GRPCServer.listen(hosts, on: group)
    let resolver = FakeResolver(servers.map(\.address))
    let caller = Caller(
        group, resolver, policy: policy, connections: connections, waitForReady: waitForReady)
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(servers, resolver, caller))
    } catch {
        result = .failure(error)
    }
    try await caller.close()
    for server in servers { await server.stop() }
    try await group.shutdownGracefully()
    try result.get()
}

/// Without these one address of several gets all the load, a dead one costs batches, or a fleet that grows is not
/// noticed.
@Suite("Several addresses of a destination", .serialized, .timeLimit(.minutes(10)))
struct GRPCBalancerTests {
    @Test("round_robin calls every address equally often")
    func spreads() async throws {
        try await withServers { servers, resolver, caller in
            // The first calls may find one connection earlier than the others.
            #expect(
                await eventually {
                    _ = await caller.call()
                    return servers.allSatisfy { $0.seen.value.calls > 0 }
                })
            let before = servers.map { $0.seen.value.calls }
            #expect(await caller.calls(30).allSatisfy { $0 == .ok })
            #expect(zip(servers, before).map { $0.seen.value.calls - $1 } == [10, 10, 10])
            #expect(servers.map { $0.seen.value.connections } == [1, 1, 1])
        }
    }

    @Test("calls that take long do not queue behind each other while another address is free")
    func prefersTheLessLoaded() async throws {
        try await withServers(["127.0.0.1", "127.0.0.2"]) { servers, _, caller in
            #expect(
                await eventually {
                    _ = await caller.call()
                    return servers.allSatisfy { $0.seen.value.calls > 0 }
                })
            servers[0].seen.change { $0.holds = true }
            let held = Noted<[GRPCCode]>([])
            let before = servers[0].seen.value.calls
            await withTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    while servers[0].seen.value.calls == before {
                        let code = await caller.call().code
                        held.change { $0.append(code) }
                    }
                }
                #expect(await eventually { servers[0].seen.value.calls == before + 1 })
                // One call hangs at the first server: all others find the second.
                let codes = await caller.calls(10)
                #expect(codes.allSatisfy { $0 == .ok } && servers[0].seen.value.calls == before + 1)
                servers[0].answerHeld()
                await tasks.waitForAll()
            }
            #expect(held.value.allSatisfy { $0 == .ok })
        }
    }

    @Test("every address has as many connections as `connections` says")
    func connections() async throws {
        try await withServers(connections: 2) { servers, _, caller in
            #expect(
                await eventually {
                    _ = await caller.call()
                    return servers.allSatisfy { $0.seen.value.connections == 2 }
                })
        }
    }

    @Test("pick_first stays with one address, and goes to another when that ends")
    func picksFirst() async throws {
        try await withServers(policy: .pickFirst) { servers, _, caller in
            #expect(await caller.calls(12).allSatisfy { $0 == .ok })
            #expect(servers.map { $0.seen.value.calls }.sorted() == [0, 0, 12])
            await servers.first { $0.seen.value.calls > 0 }!.stop()
            #expect(await eventually { await caller.call().code == .ok })
            #expect(servers.filter { $0.seen.value.calls > 0 }.count == 2)
        }
    }

    @Test("a dead address costs no call, and is used when it comes to life", arguments: [false, true])
    func deadAddress(hangsUp: Bool) async throws {
        try await withServers { servers, resolver, caller in
            let dead = servers[1]
            if hangsUp { dead.seen.change { $0.hangsUp = true } } else { await dead.stop() }
            #expect(await caller.calls(30).allSatisfy { $0 == .ok })
            #expect(dead.seen.value.calls == 0)
            // The next attempt follows after about a second.
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let revived =
                hangsUp ? dead : try await GRPCServer(dead.address.ipAddress!, dead.address.port!, group)
            dead.seen.change { $0.hangsUp = false }
            #expect(
                await eventually {
                    guard await caller.call().code == .ok else { return false }
                    return revived.seen.value.calls > 0
                })
            try await caller.close()
            await revived.stop()
            try await group.shutdownGracefully()
        }
    }

    @Test("an address that vanishes finishes its calls; one that appears gets calls")
    func changes() async throws {
        try await withServers { servers, resolver, caller in
            resolver.answer.value = .success([servers[0].address])
            servers[0].seen.change { $0.holds = true }
            async let held = caller.call()
            #expect(await eventually { servers[0].seen.value.calls == 1 })
            resolver.answer.value = .success([servers[1].address, servers[2].address])
            try await Task.sleep(for: .milliseconds(30))
            // It still may go to the first: the resolution that it causes ends later.
            async let alsoHeld = caller.call()
            #expect(
                await eventually {
                    servers[1].seen.value.connections + servers[2].seen.value.connections == 2
                })
            #expect(
                await eventually {
                    _ = await caller.call()
                    return servers[1].seen.value.calls > 0 && servers[2].seen.value.calls > 0
                })
            #expect(servers[0].seen.value.open == 1)
            servers[0].answerHeld()
            #expect(await held.code == .ok)
            #expect(await alsoHeld.code == .ok)
            #expect(await eventually { servers[0].seen.value.open == 0 })
            let before = servers[0].seen.value.calls
            #expect(await caller.calls(10).allSatisfy { $0 == .ok })
            #expect(servers[0].seen.value.calls == before)
        }
    }

    @Test("pick_first leaves an address that vanishes")
    func picksAnother() async throws {
        try await withServers(policy: .pickFirst) { servers, resolver, caller in
            resolver.answer.value = .success([servers[0].address])
            #expect(await caller.calls(3).allSatisfy { $0 == .ok })
            resolver.answer.value = .success([servers[1].address])
            #expect(
                await eventually {
                    guard await caller.call().code == .ok else { return false }
                    return servers[1].seen.value.calls > 0
                })
            #expect(await eventually { servers[0].seen.value.open == 0 })
        }
    }

    @Test("a name that cannot be resolved for a while changes nothing; one that never could says why")
    func unresolved() async throws {
        try await withServers(["127.0.0.1"]) { servers, resolver, caller in
            resolver.answer.value = .failure(ResolutionError("the name tempo cannot be resolved: no"))
            let failed = await caller.call()
            #expect(failed.code == .unavailable && failed.message == "the name tempo cannot be resolved: no")
            resolver.answer.value = .success([servers[0].address])
            #expect(await eventually { await caller.call().code == .ok })
            resolver.answer.value = .failure(ResolutionError("no"))
            let asked = resolver.asked.value
            #expect(
                await eventually {
                    guard await caller.call().code == .ok else { return false }
                    return resolver.asked.value > asked
                })
            #expect(await caller.call().code == .ok)
        }
    }

    @Test("with wait_for_ready a call waits for the name and for the server")
    func waits() async throws {
        try await withServers(["127.0.0.1"], waitForReady: true) { servers, resolver, caller in
            resolver.answer.value = .failure(ResolutionError("no"))
            async let waiting = caller.call()
            try await Task.sleep(for: .milliseconds(50))
            resolver.answer.value = .success([servers[0].address])
            #expect(await waiting.code == .ok)
            let late = try await GRPCServer.listen(["127.0.0.2"], on: MultiThreadedEventLoopGroup.singleton)[
                0]
            await late.stop()
            resolver.answer.value = .success([late.address])
            let result = await caller.call(timeout: .milliseconds(100))
            #expect(result.code == .ok || result.code == .deadlineExceeded)
        }
    }

    @Test("an address is asked of nobody")
    func literal() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await GRPCServer.listen(["127.0.0.1"], on: group)[0]
        let resolver = FakeResolver()
        let caller = Caller(group, resolver, host: "127.0.0.1", port: server.address.port!)
        #expect(await caller.calls(2) == [.ok, .ok])
        #expect(resolver.asked.value == 0)
        await server.stop()
        #expect(await eventually { await caller.call().code == .unavailable })
        let message = await caller.call().message
        #expect(message == "connection to 127.0.0.1:\(server.address.port!) failed: Connection refused")
        try await caller.close()
        try await group.shutdownGracefully()
    }
}

/// Without it no name would be found, or a thread that all clients share would wait for a DNS server.
@Suite("The system's resolver")
struct SystemResolverTests {
    @Test func findsLoopback() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let found = try await SystemResolver.shared.resolve("localhost", port: 4317, on: loop).get()
        #expect(found.contains { ["127.0.0.1", "::1"].contains($0.ipAddress) && $0.port == 4317 })
        #expect(Set(found).count == found.count)
    }

    @Test func saysWhatIsWrong() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        await #expect {
            _ = try await SystemResolver.shared.resolve("no.such.name.invalid", port: 1, on: loop).get()
        } throws: { "\($0)".hasPrefix("the name no.such.name.invalid cannot be resolved: ") }
    }
}
