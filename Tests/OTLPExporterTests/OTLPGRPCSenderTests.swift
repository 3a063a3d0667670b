import Configuration
import HTTP
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import OTLPClient

/// An answer that is taken for another loses data, or sends it for ever.
@Suite("Answers of a gRPC destination", .timeLimit(.minutes(1)))
struct OTLPGRPCSenderTests {
    /// How a batch of three items ends before a server that answers so.
    private func result(_ answer: GRPCServer.Answer) async throws -> SendResult {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await GRPCServer.listen(["127.0.0.1"], on: group)[0]
        server.seen.change { $0.answer = answer }
        let yaml = "{endpoint: \"\(server.address.port ?? 0)\", tls: {insecure: true}, compression: none}"
        var config = OTLPExporterConfig(
            ConfigSection(yaml: yaml, path: "exporters::otlp", diagnostics: Diagnostics()))
        config.endpoint = EndpointConfig(host: "127.0.0.1", port: server.address.port ?? 0)
        let loop = group.next()
        let sender = OTLPGRPCSender(
            config, tls: nil, signal: .traces, version: "0", resolver: FakeResolver([server.address]),
            eventLoop: loop, logger: makeSilentLogger())
        let result = try await loop.flatSubmit {
            let promise = loop.makePromise(of: SendResult.self)
            sender.send(makeBatch(items: 3), deadline: .now() + .seconds(10)) { promise.succeed($0) }
            return promise.futureResult
        }.get()
        try await loop.flatSubmit { sender.close() }.get()
        await server.stop()
        try await group.shutdownGracefully()
        return result
    }

    /// A status without a message before it, as servers send it that refuse a call.
    private func status(
        _ code: String, _ more: [(String, String)] = [], http: String = "200"
    ) -> GRPCServer.Answer {
        GRPCServer.Answer(
            head: [(":status", http), ("content-type", "application/grpc"), ("grpc-status", code)] + more,
            body: nil, trailers: nil)
    }

    @Test func okIsSent() async throws {
        guard case .sent(rejectedItems: 0, message: "") = try await result(GRPCServer.Answer()) else {
            Issue.record("not sent")
            return
        }
    }

    @Test func aPartialSuccessIsRead() async throws {
        let message = ExportResponse(rejected: 2, message: "old").encode()
        let answer = GRPCServer.Answer(body: [0, 0, 0, 0, UInt8(message.count)] + message)
        guard case .sent(rejectedItems: 2, message: "old") = try await result(answer) else {
            Issue.record("not read")
            return
        }
    }

    @Test(arguments: GRPCCode.allCases.filter { $0 != .ok })
    func aCodeSaysWhetherToComeAgain(code: GRPCCode) async throws {
        let answer = try await result(status("\(code.rawValue)", [("grpc-message", "too%20old%E2%82%AC")]))
        let text: String
        switch answer {
        case .retryable(let message, after: nil):
            #expect(code.isRetryable(hasRetryInfo: false))
            text = message
        case .permanent(let message, code?):
            #expect(!code.isRetryable(hasRetryInfo: false))
            text = message
        default:
            Issue.record("\(answer)")
            return
        }
        #expect(text.hasSuffix("desc = too old\u{20AC}"))
    }

    @Test(arguments: [8, 14]) func theServersWishIsHeard(code: Int) async throws {
        let details = RPCStatus(.unavailable, "", retryDelay: .seconds(7)).encode()
        let fields = [("grpc-status-details-bin", HeaderText.base64(details))]
        let answer = try await result(status("\(code)", fields))
        guard case .retryable(_, after: .seconds(7)) = answer else {
            Issue.record("\(answer)")
            return
        }
    }

    /// What is too large for one message may fit two.
    @Test func tooLargeIsCut() async throws {
        let text = "grpc: received message larger than max (5 vs. 4)"
        guard case .tooLarge = try await result(status("8", [("grpc-message", text)])) else {
            Issue.record("not cut")
            return
        }
    }

    /// Scenario: a proxy answers, or a server whose status is none.
    @Test(arguments: [
        ("401", nil, GRPCCode.unauthenticated), ("403", nil, .permissionDenied), ("404", nil, .unimplemented),
        ("500", nil, .unknown), ("200", "99", .unknown), ("200", "three", .unknown),
    ])
    func whatIsNoStatusIsNotSentAgain(http: String, code: String?, expected: GRPCCode) async throws {
        var answer = status(code ?? "", http: http)
        if code == nil { answer.head.removeLast() }
        guard case .permanent(_, expected?) = try await result(answer) else {
            Issue.record("not refused")
            return
        }
    }

    @Test(arguments: ["502", "503", "504"]) func aBusyProxyIsAskedAgain(http: String) async throws {
        var answer = status("", http: http)
        answer.head.removeLast()
        guard case .retryable(_, after: nil) = try await result(answer) else {
            Issue.record("given up")
            return
        }
    }
}
