import NIOCore
import OTLP
import Pipeline
import Testing

@testable import RequestServing

/// A client that is told the wrong thing drops data that would have been taken, or sends for ever what never will be.
@Suite struct AnswerTests {
    @Test(arguments: [
        (Refusal(.queueFull, "m"), GRPCCode.unavailable, 503, Int?.some(1)),
        (Refusal(.memory, "m", retryAfterSeconds: 3), .unavailable, 503, 3),
        (Refusal(.unavailable, "m", retryAfterSeconds: nil), .unavailable, 503, 1),
        (Refusal(.tooLarge, "m", isPermanent: true), .resourceExhausted, 413, nil),
        (Refusal(.rejected, "m", isPermanent: true), .internal, 500, nil),
        (Refusal(.rejected, "m", isPermanent: true, code: .invalidArgument), .invalidArgument, 400, nil),
        (Refusal(.rejected, "m", isPermanent: true, code: .unauthenticated), .unauthenticated, 401, nil),
        (Refusal(.rejected, "m", isPermanent: true, code: .permissionDenied), .permissionDenied, 403, nil),
        (Refusal(.rejected, "m", isPermanent: true, code: .unimplemented), .unimplemented, 404, nil),
        (Refusal(.rejected, "m", isPermanent: true, code: .unknown), .unknown, 500, nil),
    ])
    func refusals(refusal: Refusal, code: GRPCCode, status: Int, retryAfter: Int?) {
        let failure = Answer.Failure(refusal)
        #expect(failure.code == code && failure.httpStatus == status && failure.message == "m")
        #expect(failure.retryAfterSeconds == retryAfter)
    }

    @Test(arguments: [0, 7]) func anOutcomeBecomesAnAnswer(rejected: Int) {
        #expect(Answer(Outcome.accepted).isAccepted)
        guard case .partial(rejected, "old") = Answer(.partial(rejectedItems: rejected, message: "old"))
        else {
            Issue.record("not partial")
            return
        }
        #expect(Answer(.refused(Refusal(.queueFull, "m"))).failure?.httpStatus == 503)
    }
}

/// Without these an answer is not in the form that clients read.
@Suite struct AnswerWriterTests {
    private let writer = AnswerWriter(responseHeaders: [("X-Gateway", "sluice")])
    private let failure = Answer.failed(.init(.unavailable, 503, "busy", retryAfterSeconds: 7))

    private func http1(
        _ answer: Answer, _ form: AnswerForm = AnswerForm(),
        _ connection: AnswerWriter.ConnectionField = .none
    ) -> String {
        var buffer = ByteBuffer()
        writer.writeHTTP1(answer, form, connection, to: &buffer)
        return String(buffer: buffer)
    }

    @Test func success() {
        #expect(
            http1(.accepted) == """
                HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\nx-gateway: sluice\r\n\
                content-length: 0\r\n\r\n
                """)
        #expect(http1(.accepted, AnswerForm(), .close).contains("\r\nconnection: close\r\n\r\n"))
        #expect(
            http1(.accepted, AnswerForm(mediaType: .json)).hasSuffix(
                "application/json\r\nx-gateway: sluice\r\ncontent-length: 2\r\n\r\n{}"))
    }

    @Test func partialSuccessNamesTheItemsOfItsSignal() {
        let answer = Answer.partial(rejectedItems: 3, message: "old")
        let json = writer.http(answer, AnswerForm(mediaType: .json, signal: .logs))
        #expect(
            json.status == 200 && String(decoding: json.body, as: UTF8.self).contains("rejectedLogRecords"))
        let protobuf = writer.http(answer, AnswerForm())
        #expect(ExportResponse(decoding: protobuf.body) == ExportResponse(rejected: 3, message: "old"))
    }

    @Test func failuresSayWhenToComeAgain() {
        let response = writer.http(failure, AnswerForm())
        #expect(response.status == 503)
        #expect(response.fields.contains { $0 == ("retry-after", "7") })
        let status = RPCStatus(decoding: response.body)
        #expect(status == RPCStatus(.unavailable, "busy", retryDelay: .seconds(7)))
        let permanent = writer.http(
            .failed(.init(.invalidArgument, 400, "bad")), AnswerForm(mediaType: .json))
        #expect(!permanent.fields.contains { $0.name == "retry-after" })
        #expect(String(decoding: permanent.body, as: UTF8.self) == #"{"code":3,"message":"bad"}"#)
    }

    /// If auth's refusals earned, a flood of wrong passwords would pay for itself.
    @Test func whoIsTurnedAwayEarnsNothing() {
        var failure = Answer.Failure(.unavailable, 503, "busy", retryAfterSeconds: 1)
        #expect(Answer.failed(failure).isOurs)
        failure.isTurnedAway = true
        #expect(!Answer.failed(failure).isOurs)
    }

    @Test func whatIsNoRequestIsAnsweredInText() {
        let answer = http1(.failed(.plain(405, "405 method not allowed, supported: [POST]")))
        #expect(answer.hasPrefix("HTTP/1.1 405 Method Not Allowed\r\ncontent-type: text/plain\r\n"))
        #expect(answer.contains("\r\nallow: POST\r\n"))
        #expect(answer.hasSuffix("\r\n\r\n405 method not allowed, supported: [POST]"))
    }
}
