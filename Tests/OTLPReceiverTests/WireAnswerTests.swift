import HTTP
import NIOCore
import OTLP
import Pipeline
import Testing

@testable import RequestServing

/// Answers as a client of HTTP/2 reads them: what is wrong here, clients take for success, or for no answer.
@Suite struct WireAnswerTests {
    private let writer = AnswerWriter(responseHeaders: [("X-Gateway", "sluice")])
    private let busy = Answer.failed(.init(.unavailable, 503, "queue full: 10 of 10", retryAfterSeconds: 7))

    private func http2(_ answer: Answer, _ form: AnswerForm = AnswerForm()) throws -> ReadAnswer {
        try read(writer.http2(answer, form))
    }

    @Test func grpcSuccess() throws {
        let answer = try read(writer.grpc(.accepted))
        #expect(answer.head == [":status=200", "content-type=application/grpc"])
        #expect(answer.body == [0, 0, 0, 0, 0] && answer.trailers == ["grpc-status=0"])
    }

    @Test func grpcPartialSuccess() throws {
        let answer = try read(writer.grpc(.partial(rejectedItems: 3, message: "too old")))
        #expect(answer.head == [":status=200", "content-type=application/grpc"])
        // ExportTraceServiceResponse{partial_success{rejected_spans: 3, error_message: "too old"}}
        let message: [UInt8] = [0x0A, 0x0B, 0x08, 3, 0x12, 7] + Array("too old".utf8)
        #expect(answer.body == grpcMessage(message) && answer.trailers == ["grpc-status=0"])
    }

    /// Guarantees: a failure is a head alone, and says when to come again just when it is worth it.
    @Test func grpcFailures() throws {
        let refused = try read(writer.grpc(busy))
        #expect(refused.trailers == nil && refused.body.isEmpty)
        #expect(
            refused.head.prefix(4) == [
                ":status=200", "content-type=application/grpc", "grpc-status=14",
                "grpc-message=queue full: 10 of 10",
            ])
        // google.rpc.Status, with a detail Any{type_url, google.rpc.RetryInfo{retry_delay{seconds: 7}}}.
        let type = Array("type.googleapis.com/google.rpc.RetryInfo".utf8)
        let detail = [0x0A, UInt8(type.count)] + type + [0x12, 4, 0x0A, 2, 0x08, 7]
        let status =
            [0x08, 14, 0x12, 20] + Array("queue full: 10 of 10".utf8) + [0x1A, UInt8(detail.count)] + detail
        let details = try #require(refused.head.last?.split(separator: "=", maxSplits: 1).last)
        #expect(refused.head.count == 5 && refused.head[4].hasPrefix("grpc-status-details-bin="))
        #expect(HeaderText.decodeBase64(details) == status)

        let permanent = try read(writer.grpc(.failed(.init(.resourceExhausted, 413, "too large"))))
        #expect(permanent.head.dropFirst(2) == ["grpc-status=8", "grpc-message=too large"])
    }

    /// Guarantees: a message of a client's making neither ends the header early nor breaks it.
    @Test func grpcMessagesAreEscaped() throws {
        let answer = try read(writer.grpc(.failed(.init(.invalidArgument, 400, "a\r\nb: 100% ü"))))
        #expect(answer.head.last == "grpc-message=a%0D%0Ab: 100%25 %C3%BC")
    }

    /// Guarantees: who speaks no gRPC gets an answer of HTTP.
    @Test func whatIsNoCallIsAnsweredByHTTP() throws {
        let answer = try read(writer.grpc(.failed(.plain(415, "no gRPC"))))
        #expect(
            answer.head == [
                ":status=415", "content-type=text/plain", "x-gateway=sluice", "content-length=7",
            ])
        #expect(answer.body == Array("no gRPC".utf8) && answer.trailers == nil)
    }

    @Test func httpSuccess() throws {
        let protobuf = try http2(.accepted)
        #expect(
            protobuf.head == [
                ":status=200", "content-type=application/x-protobuf", "content-length=0", "x-gateway=sluice",
            ])
        #expect(protobuf.body.isEmpty && protobuf.trailers == nil)
        let json = try http2(.accepted, AnswerForm(mediaType: .json))
        #expect(
            json.head == [
                ":status=200", "content-type=application/json", "x-gateway=sluice", "content-length=2",
            ])
        #expect(json.body == Array("{}".utf8))
    }

    @Test(arguments: [
        (Signal.traces, "rejectedSpans"), (.metrics, "rejectedDataPoints"), (.logs, "rejectedLogRecords"),
    ])
    func httpPartialSuccess(signal: Signal, key: String) throws {
        let partial = Answer.partial(rejectedItems: 3, message: "too \"old\"")
        let json = try http2(partial, AnswerForm(mediaType: .json, signal: signal))
        #expect(json.head.first == ":status=200")
        #expect(
            String(decoding: json.body, as: UTF8.self)
                == #"{"partialSuccess":{"\#(key)":"3","errorMessage":"too \"old\""}}"#)
        let protobuf = try http2(partial, AnswerForm(signal: signal))
        #expect(protobuf.body == [0x0A, 13, 0x08, 3, 0x12, 9] + Array("too \"old\"".utf8))
    }

    /// Guarantees: a failure's body is a Status in the encoding of its request, whatever the head alone had said.
    @Test func httpFailures() throws {
        let json = try http2(busy, AnswerForm(mediaType: .json))
        #expect(
            json.head == [
                ":status=503", "content-type=application/json", "x-gateway=sluice", "retry-after=7",
                "content-length=\(json.body.count)",
            ])
        let details = #"[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]"#
        #expect(
            String(decoding: json.body, as: UTF8.self)
                == #"{"code":14,"message":"queue full: 10 of 10","details":\#(details)}"#)

        let protobuf = try http2(.failed(.init(.invalidArgument, 400, "bad")))
        #expect(
            protobuf.head == [
                ":status=400", "content-type=application/x-protobuf", "x-gateway=sluice", "content-length=7",
            ])
        #expect(protobuf.body == [0x08, 3, 0x12, 3] + Array("bad".utf8))

        var judged = Answer.Failure(.invalidArgument, 400, "bad")
        judged.mediaType = .json
        let early = try http2(.failed(judged))
        #expect(early.head.contains("content-type=application/json"))
        #expect(String(decoding: early.body, as: UTF8.self) == #"{"code":3,"message":"bad"}"#)
    }
}

/// What a client has read of an answer.
private struct ReadAnswer {
    var head: [String] = []
    var body: [UInt8] = []
    var trailers: [String]?
}

/// Answers one request over HTTP/2, and reads the answer.
private func read(_ response: AnswerWriter.Response) throws -> ReadAnswer {
    let (near, far) = (End(), End(response))
    let client = try HTTP2Session(role: .client, settings: HTTP2Settings(), delegate: near)
    let server = try HTTP2Session(role: .server, settings: HTTP2Settings(), delegate: far)
    far.session = server
    defer { far.session = nil }
    let head = HTTP2Fields([
        (":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "test"),
    ])
    _ = try client.request(head, body: nil)
    while try carry(client, server) || carry(server, client) {}
    try #require(near.hasEnded)
    return near.answer
}

/// Whether there was anything to carry.
private func carry(_ from: HTTP2Session, _ to: HTTP2Session) throws -> Bool {
    var bytes: [UInt8] = []
    try from.send { bytes += $0.readableBytesView }
    try bytes.withUnsafeBytes { try to.receive($0) }
    return !bytes.isEmpty
}

/// One end of a connection: a server if it has a response, else a client.
private final class End: HTTP2SessionDelegate {
    var session: HTTP2Session?
    private(set) var answer = ReadAnswer()
    private(set) var hasEnded = false
    private let response: AnswerWriter.Response?

    init(_ response: AnswerWriter.Response? = nil) {
        self.response = response
    }

    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool) {
        let fields = stream.headers.all.map { "\($0.name)=\($0.value)" }
        if isTrailers { answer.trailers = fields } else { answer.head = fields }
    }

    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream) { answer.body += bytes }

    func ended(_ stream: HTTP2Stream) {
        hasEnded = true
        guard let response else { return }
        do {
            try session?.respond(stream, response.head, body: response.body, trailers: response.trailers)
        } catch {
            Issue.record("\(error)")
        }
    }

    func closed(_ stream: HTTP2Stream, code: UInt32) {}
    func goAway(lastStream: Int32, code: UInt32) {}
    func pingAcknowledged() {}
    func pingReceived() {}
}
