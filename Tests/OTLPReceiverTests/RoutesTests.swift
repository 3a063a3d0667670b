import Configuration
import HTTP
import OTLP
import Pipeline
import Testing

@testable import RequestServing

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
        ("zstd", ContentEncoding.zstd), ("ZSTD", .zstd), ("snappy", .snappy), ("lz4", .lz4),
        ("x-gzip", .gzip),
        ("x-snappy-framed", .framedSnappy), ("zlib", .zlib), ("deflate", .zlib), ("", .identity),
        ("identity", .identity),
    ])
    func everyEncodingIsTakenUnlessTheOperatorSaysOtherwise(name: String, encoding: ContentEncoding) throws {
        let fields = post("/v1/traces", [("content-encoding", name)])
        #expect(try http(fields, encodings: HTTPServerConfig.allCompressionAlgorithms).get().1 == encoding)
        #expect(failure(http(fields, encodings: ["br"]))?.httpStatus == 400)
    }

    /// Guarantees: who wants only compressed requests gets no others; `deflate` allows `zlib`, as in the Collector.
    @Test func theListOfEncodingsIsAll() throws {
        let plain = failure(http(post(), encodings: ["gzip", "zstd"]))
        #expect(plain?.httpStatus == 400 && plain?.message == "unsupported Content-Encoding: ")
        let zlib = post("/v1/traces", [("content-encoding", "zlib")])
        #expect(try http(zlib, encodings: ["deflate"]).get().1 == .zlib)
    }

    @Test(arguments: [
        ("POST", "/v1/metrics", "application/json", 404, "404 page not found"),
        ("POST", "/", "application/json", 404, "404 page not found"),
        ("POST", "/v1/traces/", "application/json", 404, "404 page not found"),
        ("POST", "/v1/trace?s", "application/json", 404, "404 page not found"),
        ("GET", "/v1/traces", "application/json", 405, "405 method not allowed, supported: [POST]"),
        ("post", "/v1/traces", "application/json", 405, "405 method not allowed, supported: [POST]"),
        ("POST", "/v1/traces", nil, 415, Self.unsupported), ("POST", "/v1/traces", "", 415, Self.unsupported),
        ("POST", "/v1/traces", "text/json", 415, Self.unsupported),
        ("POST", "/v1/traces", "application/jsonx", 415, Self.unsupported),
        ("POST", "/v1/traces", "application/grpc", 415, Self.unsupported),
    ])
    func whatIsNoExportIsRefusedInText(
        method: String, path: String, type: String?, status: Int, message: String
    ) {
        let fields = [(":method", method), (":path", path)] + (type.map { [("content-type", $0)] } ?? [])
        #expect(failure(http(fields)) == .plain(status, message))
    }

    /// Scenario: an exporter puts "/v1/logs" behind an endpoint that ends with a slash. Guarantees: it is told where to
    /// go, as by the Collector; one that follows redirects loses nothing.
    @Test(arguments: [
        ("//v1/logs", "/v1/logs"), ("/v1//logs?a=b", "/v1/logs?a=b"), ("/x/../v1/./logs", "/v1/logs"),
        ("//v1/logs/", "/v1/logs/"), ("///", "/"), ("/../v1/logs", "/v1/logs"),
    ])
    func pathsWithEmptyStepsAreRedirected(path: String, location: String) {
        let found = failure(http(post(path)))
        #expect(found?.httpStatus == 301 && found?.location == location)
    }

    private static let unsupported =
        "415 unsupported media type, supported: [application/json, application/x-protobuf]"

    @Test(arguments: [
        ("content-length", "a lot", "content-length is not a number: \"a lot\""),
        ("content-length", "-1", "content-length is not a number: \"-1\""),
        (
            "content-length", "99999999999999999999",
            "content-length is not a number: \"99999999999999999999\""
        ),
        ("content-encoding", "br", "unsupported Content-Encoding: br"),
        ("content-encoding", "gzip, gzip", "unsupported Content-Encoding: gzip, gzip"),
        // Understood, but switched off.
        ("content-encoding", "deflate", "unsupported Content-Encoding: deflate"),
    ])
    func whatCannotBeReadIsRefusedInTheClientsForm(name: String, value: String, message: String) {
        for form in [MediaType.json, .protobuf] {
            var expected = Answer.Failure(.invalidArgument, 400, message)
            expected.mediaType = form
            #expect(failure(http(post("/v1/traces", type: form.rawValue, [(name, value)]))) == expected)
        }
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
        ("POST", "application/grpcweb", 415, "invalid gRPC request content-type \"application/grpcweb\""),
        ("POST", "application/json", 415, "invalid gRPC request content-type \"application/json\""),
        ("POST", nil, 415, "invalid gRPC request content-type \"\""),
        ("GET", "application/grpc", 405, "405 method not allowed, supported: [POST]"),
    ])
    func whatIsNoCallIsRefusedByHTTP(method: String, type: String?, status: Int, message: String) {
        let fields =
            [(":method", method), (":path", Self.grpcPath)] + (type.map { [("content-type", $0)] } ?? [])
        #expect(failure(grpc(fields)) == .plain(status, message))
    }

    @Test(arguments: ["/other.Service/Export", Self.grpcPath + "/", Signal.logs.grpcPath, "/"])
    func methodsThatNobodyServes(path: String) {
        let message = "unknown service or method \(path): no pipeline takes this signal from this receiver"
        #expect(
            failure(grpc(post(path, type: "application/grpc"))) == .init(.unimplemented, 404, message))
    }

    @Test(arguments: ["br", "lz4", "deflate", "GZIP2"]) func encodingsThatNobodyKnows(encoding: String) {
        let fields = post(Self.grpcPath, type: "application/grpc", [("grpc-encoding", encoding)])
        let message = "grpc: Decompressor is not installed for grpc-encoding \"\(encoding)\""
        var expected = Answer.Failure(.unimplemented, 415, message)
        expected.namesEncodings = true
        #expect(failure(grpc(fields)) == expected)
    }

    /// If it failed, clients of one signal would wait for another's exporter, or one that sends both fill its memory.
    @Test func whoUsesARouteThatPausesWaits() {
        let (calm, busy) = (Rear(), Rear())
        let limits = RequestLimits(isGRPC: false, bodyBytesMax: 1)
        let routes = Routes(limits: limits, [("/a", calm.target()), ("/b", busy.target(.metrics))])
        let (first, second) = (Routes.bit(calm.target()), Routes.bit(busy.target(.metrics)))
        #expect(!routes.shouldPause(first | second))
        busy.limiter.shouldPause = true
        #expect(routes.shouldPause(first | second) && routes.shouldPause(second))
        #expect(!routes.shouldPause(first) && !routes.shouldPause(0))
        calm.limiter.shouldPause = true
        #expect(routes.shouldPause(0))
    }

    private func failure(_ verdict: Verdict) -> Answer.Failure? {
        if case .failure(let failure) = verdict { failure } else { nil }
    }
}
