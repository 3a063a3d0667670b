import OTLP
import TestSupport
import Testing

/// What a client is told; it decides with it whether to send again.
@Suite struct AnswerTests {
    /// Scenario: golden bytes, made with protoc. Guarantees: other implementations read what we write.
    @Test func writesStatus() {
        #expect(RPCStatus(.ok, "").encode() == [])
        #expect(RPCStatus(.unavailable, "busy").encode() == [0x08, 0x0E, 0x12, 0x04] + Array("busy".utf8))
        let throttled =
            "CA4SBGJ1c3kaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIARCAyrXuAQ=="
        let status = RPCStatus(.unavailable, "busy", retryDelay: .milliseconds(1500))
        #expect(HeaderText.decodeBase64(throttled) == status.encode())
    }

    /// Scenario: our own answers come back. Guarantees: nothing is lost on the way.
    @Test(arguments: [
        RPCStatus(.ok, ""),
        RPCStatus(.unavailable, "data refused due to high memory usage", retryDelay: .seconds(5)),
        RPCStatus(.resourceExhausted, "ümlaut", retryDelay: .milliseconds(1500)),
        RPCStatus(.internal, "x", retryDelay: .zero),
        RPCStatus(code: -7, message: "odd"),
    ])
    func readsStatus(status: RPCStatus) {
        status.encode().withUnsafeBytes { #expect(RPCStatus(decoding: $0) == status) }
    }

    /// Scenario: details that we do not know. Guarantees: they are skipped, the delay is found all the same.
    @Test func skipsOtherDetails() {
        var status = message {
            $0.message(3) {
                $0.text(1, "type.googleapis.com/google.rpc.BadRequest")
                $0.field(2, [0xFF])
            }
        }
        status += RPCStatus(.unavailable, "m", retryDelay: .seconds(1)).encode()
        status += message {
            $0.message(3) {
                $0.text(1, "type.googleapis.com/google.rpc.RetryInfo")
                $0.field(2, [0x0A])
            }
        }
        status.withUnsafeBytes {
            #expect(RPCStatus(decoding: $0) == RPCStatus(.unavailable, "m", retryDelay: .seconds(1)))
        }
    }

    /// Scenario: an answer that is no status. Guarantees: it is not taken for one.
    @Test(arguments: [[0x08], [0x12, 0x05, 0x41], Array("<html>".utf8), [0xFF]] as [[UInt8]])
    func refusesOtherBytes(bytes: [UInt8]) {
        bytes.withUnsafeBytes { #expect(RPCStatus(decoding: $0) == nil) }
    }

    /// Scenario: full and partial success. Guarantees: full success is no bytes, as OTLP demands; the rest
    /// comes back.
    @Test func carriesPartialSuccess() {
        #expect(ExportResponse().encode() == [])
        #expect(
            ExportResponse(rejected: 3, message: "no").encode() == [
                0x0A, 0x06, 0x08, 0x03, 0x12, 0x02, 0x6E, 0x6F,
            ])
        for response in [
            ExportResponse(), ExportResponse(rejected: 5), ExportResponse(message: "warning"),
            ExportResponse(rejected: .max, message: "ü"),
        ] {
            response.encode().withUnsafeBytes { #expect(ExportResponse(decoding: $0) == response) }
        }
        ([0x0A, 0x00] as [UInt8]).withUnsafeBytes {
            #expect(ExportResponse(decoding: $0) == ExportResponse())
        }
        ([0x0A, 0x02, 0x08] as [UInt8]).withUnsafeBytes { #expect(ExportResponse(decoding: $0) == nil) }
        ([0x0A, 0x01, 0x08] as [UInt8]).withUnsafeBytes { #expect(ExportResponse(decoding: $0) == nil) }
    }

    /// Scenario: each code. Guarantees: exactly those that OTLP names are sent again.
    @Test func knowsWhatToRetry() {
        let retryable = GRPCCode.allCases.filter { $0.isRetryable(hasRetryInfo: false) }
        #expect(retryable == [.cancelled, .deadlineExceeded, .aborted, .outOfRange, .unavailable, .dataLoss])
        #expect(GRPCCode.resourceExhausted.isRetryable(hasRetryInfo: true))
        #expect((100..<600).filter { GRPCCode.isRetryable(httpStatus: $0) } == [429, 502, 503, 504])
    }

    /// Scenario: the same failure on both transports. Guarantees: both clients learn the same.
    @Test(arguments: [
        (400, GRPCCode.invalidArgument), (401, .unauthenticated), (403, .permissionDenied),
        (404, .unimplemented),
        (429, .resourceExhausted), (503, .unavailable),
    ])
    func mapsHTTP(status: Int, code: GRPCCode) {
        #expect(GRPCCode(httpStatus: status) == code)
        #expect(code.httpStatus == status)
    }

    /// Scenario: statuses without a code of their own. Guarantees: nothing unknown is retried.
    @Test func mapsTheRest() {
        #expect(GRPCCode(httpStatus: 502) == .unavailable && GRPCCode(httpStatus: 504) == .unavailable)
        #expect(GRPCCode(httpStatus: 500) == .unknown && GRPCCode(httpStatus: 418) == .unknown)
        #expect(GRPCCode.internal.httpStatus == 500 && GRPCCode.dataLoss.httpStatus == 503)
    }

    /// Scenario: base64 of every length, padded and not. Guarantees: status details survive the trailer.
    @Test func carriesBase64() {
        #expect(HeaderText.base64(Array("foob".utf8)) == "Zm9vYg")
        #expect(Base64.text(Array("user:p\u{E4}ssword".utf8)) == "dXNlcjpww6Rzc3dvcmQ=")
        #expect(HeaderText.decodeBase64("Zm9vYg==").map { String(decoding: $0, as: UTF8.self) } == "foob")
        for count in 0..<70 {
            var random = SeededRandom(seed: UInt64(count))
            let bytes = random.bytes(count)
            #expect(HeaderText.decodeBase64(HeaderText.base64(bytes)) == bytes)
        }
        for bad in ["A", "A===", "Zm9v!", "Zm 9", "=", "Zg==" + "Zg"] {
            #expect(HeaderText.decodeBase64(bad) == nil)
        }
    }

    /// Scenario: messages with line breaks, percent signs and umlauts. Guarantees: they survive
    /// `grpc-message`.
    @Test(arguments: [("plain text", "plain text"), ("100%\nü", "100%25%0A%C3%BC"), ("", "")])
    func carriesMessages(message: String, encoded: String) {
        #expect(HeaderText.percentEncode(message) == encoded)
        #expect(HeaderText.percentDecode(encoded) == message)
    }

    /// Scenario: an encoder that is sloppy. Guarantees: what is readable is read.
    @Test func readsSloppyMessages() {
        #expect(HeaderText.percentDecode("50% off %4") == "50% off %4")
        #expect(HeaderText.percentDecode("a%zzb%c3%bc") == "a%zzbü")
    }

    /// Scenario: routes and names of metrics. Guarantees: clients and dashboards find them under OTLP's
    /// names.
    @Test func namesSignals() {
        #expect(Signal.traces.grpcPath == "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        #expect(Signal.allCases.map(\.httpPath) == ["/v1/traces", "/v1/metrics", "/v1/logs"])
        #expect(Signal.allCases.map(\.itemNoun) == ["spans", "metric_points", "log_records"])
    }
}
