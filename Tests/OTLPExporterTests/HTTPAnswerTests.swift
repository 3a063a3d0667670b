import HTTP
import NIOCore
import OTLP
import Pipeline
import Testing

@testable import OTLPClient

/// An answer that is taken for another loses data, or sends it for ever.
@Suite struct HTTPAnswerTests {
    private func result(
        _ status: Int, _ body: [UInt8] = [], type: String = "application/x-protobuf",
        retryAfter: String? = nil, bodyTruncated: Bool = false
    ) -> SendResult {
        var fields = [(name: "content-type", value: type)]
        if let retryAfter { fields.append(("Retry-After", retryAfter)) }
        return HTTPAnswer.result(
            HTTPClientResponse(
                status: status, headers: HTTPClientHeaders(fields), body: ByteBuffer(bytes: body),
                bodyTruncated: bodyTruncated))
    }

    @Test(arguments: [200, 202, 204, 299]) func twoHundredsAreSent(status: Int) {
        guard case .sent(rejectedItems: 0, message: "") = result(status) else {
            Issue.record("not sent")
            return
        }
    }

    @Test func partialSuccessIsRead() {
        let body = ExportResponse(rejected: 3, message: "too old").encode()
        guard case .sent(rejectedItems: 3, message: "too old") = result(200, body) else {
            Issue.record("not read")
            return
        }
        let json = ExportResponse(rejected: 3, message: "too old").encodeJSON(.logs)
        guard case .sent(rejectedItems: 3, message: "too old") = result(200, json, type: "application/json")
        else {
            Issue.record("not read")
            return
        }
    }

    @Test func compressedAnswersAreRead() {
        // {"partial_success":{"rejected_log_records":"2","error_message":"x"}}
        let gzip: [UInt8] = [
            31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 13, 202, 49, 10, 128, 48, 16, 4, 192, 191, 108, 109, 101, 233,
            103, 142, 112, 89, 130, 18, 137, 236, 69, 16, 66, 254, 110, 218, 97, 6, 158, 164, 126, 166, 106,
            241, 186, 51, 2, 199, 128, 120, 209, 59, 179, 213, 86, 76, 244, 166, 188, 28, 59, 54, 80, 106,
            178, 123, 197, 84, 184, 236, 195, 156, 63, 13, 212, 144, 166, 68, 0, 0, 0,
        ]
        let fields = [
            (name: "content-type", value: "application/json"), (name: "Content-Encoding", value: "gzip"),
        ]
        func answer(_ body: [UInt8]) -> SendResult {
            HTTPAnswer.result(
                HTTPClientResponse(
                    status: 200, headers: HTTPClientHeaders(fields), body: ByteBuffer(bytes: body),
                    bodyTruncated: false))
        }
        guard case .sent(rejectedItems: 2, message: "x") = answer(gzip) else {
            Issue.record("not read")
            return
        }
        guard case .permanent = answer([1, 2, 3]) else {
            Issue.record("taken for an answer")
            return
        }
    }

    /// Those are servers that do not say more than that they took it: Loki, Prometheus, and JSON for protobuf.
    @Test(arguments: [
        (204, "", ""), (200, "", ""), (202, "", ""), (204, "", "text/html"), (200, "{}", "application/json"),
        (200, "", "application/json"), (200, "{\"partialSuccess\":{}}", "application/json; charset=utf-8"),
        (200, "", "application/x-protobuf"), (200, "", "Application/Protobuf"),
    ])
    func scantAnswersAreSent(status: Int, body: String, type: String) {
        guard case .sent(rejectedItems: 0, message: "") = result(status, Array(body.utf8), type: type) else {
            Issue.record("not sent")
            return
        }
    }

    /// Without it data counts as delivered that a captive portal or the login page of a proxy has swallowed.
    @Test(arguments: [
        (200, "<html>", "text/html"), (200, "", "text/html; charset=utf-8"), (202, "ok", "text/plain"),
        (200, "ok", ""), (200, "<html>", "application/x-protobuf"), (200, "<html>", "application/json"),
        (200, "[]", "application/json"), (200, "{\"code\":7,\"message\":\"no\"}", "application/json"),
        (200, "\u{08}\u{07}", "application/x-protobuf"), (203, "x", "application/octet-stream"),
    ])
    func otherAnswersAreNoSuccess(status: Int, body: String, type: String) {
        guard case .permanent(let message, .unknown?) = result(status, Array(body.utf8), type: type) else {
            Issue.record("not refused")
            return
        }
        #expect(message.contains("is no answer of OTLP") && message.contains("the endpoint"))
    }

    /// Scenario: an answer that was read to the limit only. Guarantees: a long warning is a success, a page is none.
    @Test(arguments: [
        ("\n\u{07}", "application/x-protobuf", true), (" {\"partialSuccess\"", "application/json", true),
        ("\0\0\0", "application/x-protobuf", false), ("<html>", "application/x-protobuf", false),
        ("<html>", "application/json", false), ("[1", "application/json", false), ("{", "text/html", false),
    ])
    func longAnswersBeginAsAnswers(body: String, type: String, isSent: Bool) {
        switch result(200, Array(body.utf8), type: type, bodyTruncated: true) {
        case .sent(rejectedItems: 0, message: ""): #expect(isSent)
        case .permanent: #expect(!isSent)
        case let other: Issue.record("\(other)")
        }
    }

    @Test(arguments: [429, 502, 503, 504]) func someMayPass(status: Int) {
        let answer = result(status, RPCStatus(.unavailable, "busy").encode(), retryAfter: "7")
        switch answer {
        case .throttled(let message, let after) where status == 429, .retryable(let message, let after):
            #expect(message == "HTTP status \(status): busy" && after == .seconds(7))
        default: Issue.record("\(answer)")
        }
        let asked = result(status, RPCStatus(.unavailable, "", retryDelay: .seconds(3)).encode())
        switch asked {
        case .throttled(_, after: .seconds(3)?), .retryable(_, after: .seconds(3)?): break
        default: Issue.record("\(asked)")
        }
    }

    @Test(arguments: [100, 300, 304, 401, 404, 408, 501, 505]) func othersNeverPass(
        status: Int
    ) {
        let answer = result(status, Array("no\r\n  \u{1}way".utf8), type: "text/plain")
        guard case .permanent(let message, _) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(message.hasPrefix("HTTP status \(status): no way"))
    }

    /// Some of its items may pass without the others.
    @Test(arguments: [400, 409, 422, 500]) func aRefusalMayBeForAPart(status: Int) {
        guard case .refused(let message, _) = result(status, Array("bad id".utf8), type: "text/plain") else {
            Issue.record("not refused")
            return
        }
        #expect(message == "HTTP status \(status): bad id")
    }

    /// An operator who reads protobuf as text cannot tell what is wrong.
    @Test(arguments: ["application/x-protobuf", "application/octet-stream", "", "text/plain"])
    func aStatusIsReadWhateverItsType(type: String) {
        let body = RPCStatus(.invalidArgument, "no such tenant").encode()
        guard case .refused("HTTP status 400: no such tenant", _) = result(400, body, type: type) else {
            Issue.record("not read")
            return
        }
    }

    /// Plain HTTP to a port for TLS: the key to change is named, and the data is not tried in parts.
    @Test func tlsIsNamed() {
        let text = "Client sent an HTTP request to an HTTPS server.\n"
        guard case .permanent(let message, _) = result(400, Array(text.utf8), type: "") else {
            Issue.record("not permanent")
            return
        }
        #expect(message.hasSuffix("write https:// instead of http://"))
    }

    @Test func jsonIsReadToo() {
        let body = RPCStatus(.invalidArgument, "no such tenant").encodeJSON()
        guard
            case .refused("HTTP status 400: no such tenant", .invalidArgument?) = result(
                400, body, type: "application/json; x=y")
        else {
            Issue.record("not read")
            return
        }
    }

    /// What is too large for one request may fit two.
    @Test func tooLargeIsCut() {
        guard case .tooLarge("HTTP status 413") = result(413) else {
            Issue.record("not cut")
            return
        }
        for (status, text) in [
            (400, "http: request body too large"),
            (429, "RATE_LIMITED: batch size (9 bytes) exceeds ingestion limit"),
            (
                500,
                "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)"
            ),
        ] {
            guard case .tooLarge = result(status, Array(text.utf8), type: "text/plain") else {
                Issue.record("not cut: \(text)")
                continue
            }
        }
    }

    /// A page of megabytes is not a log line.
    @Test func textsAreShort() {
        guard case .refused(let message, _) = result(500, Array(repeating: 0x61, count: 60_000), type: "")
        else {
            Issue.record("not permanent")
            return
        }
        #expect(message.utf8.count < 400)
    }
}
