import Configuration
import HTTP
import OTLP
import Pipeline
import Testing

@testable import OTLPReceiver

/// A head that is judged wrongly costs a client its data, or lets a body in that nobody can read.
@Suite struct RoutesTests {
    private typealias Verdict = Result<(Target, ContentEncoding, contentLength: Int?), Answer.Failure>

    private static let grpcPath = Signal.traces.grpcPath

    private func http(_ fields: [(String, String)], encodings: [String] = ["", "gzip", "zlib"]) -> Verdict {
        let limits = RequestLimits(isGRPC: false, bodyBytesMax: 1 << 20)
        let routes = Routes(
            limits: limits, encodings: encodings,
            [("/v1/traces", Rear().target(.traces)), ("/v1/logs", Rear().target(.logs))])
        return routes.judge(head(fields))
    }

    private func grpc(_ fields: [(String, String)]) -> Verdict {
        let limits = RequestLimits(isGRPC: true, bodyBytesMax: 4 << 20)
        return Routes(limits: limits, [(Self.grpcPath, Rear().target(.traces))]).judge(head(fields))
    }

    private func post(
        _ path: String = "/v1/traces", type: String = "application/x-protobuf",
        _ more: [(String, String)] = []
    ) -> [(String, String)] {
        [(":method", "POST"), (":path", path), ("content-type", type)] + more
    }

    @Test(arguments: [
        ("/v1/traces", "application/x-protobuf", Signal.traces, MediaType.protobuf),
        ("/v1/logs", "application/json", .logs, .json),
        ("/v1/logs?a=b", "application/json; charset=utf-8", .logs, .json),
        ("/v1/traces", "Application/X-Protobuf", .traces, .protobuf),
    ])
    func goodHeadsFindTheirTarget(path: String, type: String, signal: Signal, form: MediaType) throws {
        let (target, encoding, length) = try http(post(path, type: type)).get()
        #expect(target.signal == signal && target.mediaType == form)
        #expect(encoding == .identity && length == nil)
    }

    @Test func lengthAndEncodingAreRead() throws {
        let fields = [("content-length", "17"), ("content-encoding", "GZIP")]
        let (_, encoding, length) = try http(post("/v1/traces", fields)).get()
        #expect(encoding == .gzip && length == 17)
        let deflate = http(post("/v1/traces", [("content-encoding", "deflate")]), encodings: ["deflate"])
        #expect(try deflate.get().1 == .zlib)
    }

    @Test(arguments: [
        ("zstd", ContentEncoding.zstd), ("ZSTD", .zstd), ("snappy", .snappy),
        ("x-snappy-framed", .framedSnappy), ("zlib", .zlib), ("deflate", .zlib), ("", .identity),
        ("identity", .identity),
    ])
    func everyEncodingIsTakenUnlessTheOperatorSaysOtherwise(name: String, encoding: ContentEncoding) throws {
        let fields = post("/v1/traces", [("content-encoding", name)])
        #expect(try http(fields, encodings: HTTPServerConfig.allCompressionAlgorithms).get().1 == encoding)
        #expect(failure(http(fields, encodings: ["gzip"]))?.httpStatus == 400)
    }

    /// Guarantees: who wants only compressed requests gets no others; `deflate` allows `zlib`, as in the Collector.
    @Test func theListOfEncodingsIsAll() throws {
        let plain = failure(http(post(), encodings: ["gzip", "zstd"]))
        #expect(plain?.httpStatus == 400 && plain?.message == "unsupported Content-Encoding: ")
        let zlib = post("/v1/traces", [("content-encoding", "zlib")])
        #expect(try http(zlib, encodings: ["deflate"]).get().1 == .zlib)
        let lz4 = http(post("/v1/traces", [("content-encoding", "lz4")]), encodings: ["", "lz4"])
        #expect(failure(lz4)?.message == "unsupported Content-Encoding: lz4")
    }

    @Test(arguments: [
        ([(":method", "POST"), (":path", "/v1/metrics"), ("content-type", "application/json")], 404),
        ([(":method", "GET"), (":path", "/v1/traces"), ("content-type", "application/json")], 405),
        ([(":method", "POST"), (":path", "/v1/traces")], 415),
        ([(":method", "POST"), (":path", "/v1/traces"), ("content-type", "text/json")], 415),
    ])
    func whatIsNoExportIsRefusedInText(fields: [(String, String)], status: Int) {
        let failure = failure(http(fields))
        #expect(failure?.httpStatus == status && failure?.isPlainText == true)
    }

    @Test(arguments: [
        ("content-length", "a lot"), ("content-length", "-1"), ("content-encoding", "br"),
        ("content-encoding", "deflate"),
    ])
    func whatCannotBeReadIsRefusedInTheClientsForm(name: String, value: String) {
        let failure = failure(http(post("/v1/traces", type: "application/json", [(name, value)])))
        #expect(
            failure?.httpStatus == 400 && failure?.code == .invalidArgument && failure?.mediaType == .json)
    }

    /// Guarantees: a message repeats no more than a line of what a client sent.
    @Test func longTextsAreCut() {
        let long = String(repeating: "x", count: 10_000)
        let failure = failure(http(post("/v1/traces", [("content-encoding", long)])))
        #expect((failure?.message.utf8.count).map { $0 < 300 } == true)
    }

    @Test(arguments: [
        ("application/grpc", "identity", ContentEncoding.identity), ("application/grpc+proto", "gzip", .gzip),
        ("application/grpc;a=b", "gzip", .gzip), ("application/grpc", "zstd", .zstd),
        ("application/grpc", "snappy", .framedSnappy),
    ])
    func callsFindTheirTarget(type: String, encoding: String, expected: ContentEncoding) throws {
        let fields = post(Self.grpcPath, type: type, [("grpc-encoding", encoding)])
        #expect(try grpc(fields).get().1 == expected)
    }

    @Test(arguments: [
        (Self.grpcPath, "application/grpcweb", "identity", 415, true),
        (Self.grpcPath, "application/json", "identity", 415, true),
        ("/other.Service/Export", "application/grpc", "identity", 404, false),
        (Self.grpcPath, "application/grpc", "br", 415, false),
    ])
    func callsThatNobodyServes(path: String, type: String, encoding: String, status: Int, isPlain: Bool) {
        let failure = failure(grpc(post(path, type: type, [("grpc-encoding", encoding)])))
        #expect(failure?.httpStatus == status && failure?.isPlainText == isPlain)
        #expect(failure?.code == .unimplemented)
        #expect(failure?.namesEncodings == (encoding == "br"))
    }

    @Test func oneLimiterIsEnoughToPause() {
        let (calm, busy) = (Rear(), Rear())
        let limits = RequestLimits(isGRPC: false, bodyBytesMax: 1)
        let routes = Routes(limits: limits, [("/a", calm.target()), ("/b", busy.target())])
        #expect(!routes.shouldPause)
        busy.limiter.shouldPause = true
        #expect(routes.shouldPause)
    }

    private func failure(_ verdict: Verdict) -> Answer.Failure? {
        if case .failure(let failure) = verdict { failure } else { nil }
    }
}
