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
@Suite("Answers of a gRPC destination", .timeLimit(.minutes(10)))
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
        case .retryable(let message, after: nil), .throttled(let message, after: nil):
            #expect(code.isRetryable(hasRetryInfo: false))
            text = message
        case .permanent(let message, code?), .refused(let message, code?):
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
        switch answer {
        case .retryable(_, after: .seconds(7)?) where code == 14: break
        case .throttled(_, after: .seconds(7)?) where code == 8: break
        default: Issue.record("\(answer)")
        }
    }

    /// What is too large for one message may fit two, whoever's words say so.
    @Test(arguments: [
        (8, "grpc: received message larger than max (5 vs. 4)"),
        (8, "grpc: received message after decompression larger than max 4"),
        (8, "gRPC message exceeds maximum size 4194304: 5000000"),
        (8, "Received message exceeds the maximum configured message size."),
        (8, "SERVER: Received message larger than max (5 vs. 4)"),
        (8, "RATE_LIMITED: batch size (5 bytes) exceeds ingestion limit (4 bytes)"),
        (11, "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes"),
        (2, "Payload Too Large"), (13, "request body too big"),
    ])
    func tooLargeIsCut(code: Int, text: String) async throws {
        guard case .tooLarge = try await result(status("\(code)", [("grpc-message", text)])) else {
            Issue.record("not cut")
            return
        }
    }

    /// nginx and others say it in HTTP.
    @Test func tooLargeForAProxyIsCut() async throws {
        let answer = GRPCServer.Answer(
            head: [(":status", "413"), ("content-type", "text/html")], body: Array("<html>".utf8),
            trailers: nil)
        guard case .tooLarge = try await result(answer) else {
            Issue.record("not cut")
            return
        }
    }

    /// Scenario: a proxy answers, or a server whose status is none.
    @Test(arguments: [
        ("400", nil, GRPCCode.internal), ("401", nil, .unauthenticated), ("403", nil, .permissionDenied),
        ("404", nil, .unimplemented), ("408", nil, .unknown), ("500", nil, .unknown),
        ("200", "99", .unknown), ("200", "three", .unknown), ("503", "3", .invalidArgument),
    ])
    func whatIsNoStatusIsNotSentAgain(http: String, code: String?, expected: GRPCCode) async throws {
        var answer = status(code ?? "", http: http)
        if code == nil { answer.head.removeLast() }
        switch try await result(answer) {
        case .permanent(_, expected?) where code == nil: break
        case .refused(let message, expected?) where code != nil:
            // Who reads the log must not look for a message that nobody has sent.
            if code == "three" || code == "99" { #expect(message.contains("grpc-status \"\(code!)\"")) }
        case let other: Issue.record("\(other)")
        }
    }

    /// Without it data counts as delivered that no server has said OK to: web pages, proxies that take trailers off.
    @Test(arguments: [
        ("200", "text/html", Array("<html>".utf8), [(String, String)]?.none), ("204", "", [], nil),
        ("200", "application/json", [], nil), ("200", "application/grpc", [0, 0, 0, 0, 0], nil),
        ("200", "application/grpc", [0, 0, 0, 0, 0], [("x", "y")]),
        ("200", "text/html", Array("<html>".utf8), [("grpc-status", "0")]),
        ("200", "", [0, 0, 0, 0, 0], [("grpc-status", "0")]), ("202", "application/grpc", [], nil),
        ("302", "text/html", [], nil),
    ])
    func successNeedsAStatus(
        http: String, type: String, body: [UInt8], trailers: [(String, String)]?
    ) async throws {
        var head = [(":status", http)]
        if !type.isEmpty { head.append(("content-type", type)) }
        let answer = GRPCServer.Answer(head: head, body: body.isEmpty ? nil : body, trailers: trailers)
        guard case .permanent(let message, .unknown?) = try await result(answer) else {
            Issue.record("not refused")
            return
        }
        #expect(message.contains("grpc-status"))
    }

    /// A status in the head is the answer's only where nothing follows: else data is lost whose answer broke off, or says no later.
    @Test(arguments: [nil, [("x", "y")]])
    func aStatusBeforeTheMessageIsNone(trailers: [(String, String)]?) async throws {
        var answer = status("0")
        answer.body = [0, 0, 0, 0, 0]
        answer.trailers = trailers
        guard case .permanent(_, .unknown?) = try await result(answer) else {
            Issue.record("not refused")
            return
        }
    }

    /// If it failed, what a server refuses for now, and says so before a body, would be dropped.
    @Test func aRefusalBeforeTheMessageIsTriedAgain() async throws {
        var answer = status("14")
        answer.body = [0, 0, 0, 0, 0]
        guard case .retryable = try await result(answer) else {
            Issue.record("not tried again")
            return
        }
    }

    @Test(arguments: ["429", "502", "503", "504"]) func aBusyProxyIsAskedAgain(http: String) async throws {
        for (fields, delay) in [([], TimeAmount?.none), ([("retry-after", "7")], .seconds(7))] {
            var answer = status("", fields, http: http)
            answer.head.removeAll { $0.0 == "grpc-status" }
            switch try await result(answer) {
            case .throttled(_, let after) where http == "429": #expect(after == delay)
            case .retryable(_, let after) where http != "429": #expect(after == delay)
            case let other: Issue.record("\(other)")
            }
        }
    }
}
