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
        retryAfter: String? = nil
    ) -> SendResult {
        var fields = [(name: "content-type", value: type)]
        if let retryAfter { fields.append(("Retry-After", retryAfter)) }
        return HTTPAnswer.result(
            HTTPClientResponse(
                status: status, headers: HTTPClientHeaders(fields), body: ByteBuffer(bytes: body),
                bodyTruncated: false))
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
        // The page of some proxy that is no protobuf.
        guard case .sent(rejectedItems: 0, _) = result(200, Array("<html>".utf8), type: "text/html") else {
            Issue.record("not sent")
            return
        }
    }

    @Test(arguments: [429, 502, 503, 504]) func someMayPass(status: Int) {
        let answer = result(status, RPCStatus(.unavailable, "busy").encode(), retryAfter: "7")
        guard case .retryable(let message, let after) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(message == "HTTP status \(status): busy")
        #expect(after == (status == 429 || status == 503 ? .seconds(7) : nil))
    }

    @Test(arguments: [100, 300, 304, 400, 401, 404, 408, 500, 501, 505]) func othersNeverPass(
        status: Int
    ) {
        let answer = result(status, Array("no\r\n  \u{1}way".utf8), type: "text/plain")
        guard case .permanent(let message, _) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(message.hasPrefix("HTTP status \(status): no way"))
    }

    @Test func jsonIsReadToo() {
        let body = RPCStatus(.invalidArgument, "no such tenant").encodeJSON()
        guard
            case .permanent("HTTP status 400: no such tenant", .invalidArgument?) = result(
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
    }

    /// A page of megabytes is not a log line.
    @Test func textsAreShort() {
        guard case .permanent(let message, _) = result(500, Array(repeating: 0x61, count: 60_000), type: "")
        else {
            Issue.record("not permanent")
            return
        }
        #expect(message.utf8.count < 400)
    }
}
