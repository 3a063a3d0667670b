import OTLP
import Testing

/// If one failed, a client that speaks JSON would not understand our answers, or we those of a backend.
struct AnswersJSONTests {
    private func response(_ text: String) -> ExportResponse? {
        Array(text.utf8).withUnsafeBytes { ExportResponse(decodingJSON: $0) }
    }

    private func status(_ text: String) -> RPCStatus? {
        Array(text.utf8).withUnsafeBytes { RPCStatus(decodingJSON: $0) }
    }

    @Test(arguments: [
        (ExportResponse(), "{}"),
        (ExportResponse(rejected: 3), #"{"partialSuccess":{"rejectedSpans":"3"}}"#),
        (ExportResponse(message: "\"old\""), #"{"partialSuccess":{"errorMessage":"\"old\""}}"#),
        (
            ExportResponse(rejected: 1, message: "x"),
            #"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"x"}}"#
        ),
    ])
    func responses(value: ExportResponse, text: String) {
        #expect(String(decoding: value.encodeJSON(.traces), as: UTF8.self) == text)
        #expect(response(text) == value)
    }

    @Test func theCountIsNamedAfterTheSignal() {
        let value = ExportResponse(rejected: 1)
        #expect(value.encodeJSON(.metrics) == Array(#"{"partialSuccess":{"rejectedDataPoints":"1"}}"#.utf8))
        #expect(value.encodeJSON(.logs) == Array(#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#.utf8))
        for signal in Signal.allCases {
            #expect(response(String(decoding: value.encodeJSON(signal), as: UTF8.self)) == value)
        }
    }

    @Test(arguments: [
        (#"{"partialSuccess":{}}"#, ExportResponse()),
        (#"{"partialSuccess":null,"x":[1]}"#, ExportResponse()),
        (
            #"{"partial_success":{"rejectedSpans":7,"error_message":"x"}}"#,
            ExportResponse(rejected: 7, message: "x")
        ),
        ("", nil), ("[]", nil), ("{", nil), ("{} x", nil), ("<html>", nil),
    ])
    func whatOthersWrite(text: String, expected: ExportResponse?) { #expect(response(text) == expected) }

    @Test(arguments: [
        (RPCStatus(.invalidArgument, "bad \n"), #"{"code":3,"message":"bad \n"}"#),
        (
            RPCStatus(.unavailable, "later", retryDelay: .seconds(2)),
            #"{"code":14,"message":"later","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","#
                + #""retryDelay":"2s"}]}"#
        ),
        (
            RPCStatus(.unavailable, "later", retryDelay: .milliseconds(1050)),
            #"{"code":14,"message":"later","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","#
                + #""retryDelay":"1.050000000s"}]}"#
        ),
    ])
    func statuses(value: RPCStatus, text: String) {
        #expect(String(decoding: value.encodeJSON(), as: UTF8.self) == text)
        #expect(status(text) == value)
    }

    @Test(arguments: [
        (
            #"{"message":"x","details":[7,{"@type":"other","retryDelay":"5s"}]}"#,
            RPCStatus(code: 0, message: "x")
        ),
        (
            #"{"code":8,"details":[{"retryDelay":"-1s","@type":"type.googleapis.com/google.rpc.RetryInfo"}]}"#,
            RPCStatus(code: 8, message: "")
        ),
        ("", nil), ("upstream timeout", nil),
    ])
    func statusesOfOthers(text: String, expected: RPCStatus?) { #expect(status(text) == expected) }
}
