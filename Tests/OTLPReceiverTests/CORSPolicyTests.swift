import Configuration
import HTTP
import NIOCore
import Testing

@testable import RequestServing

/// A browser's pages send nothing here, or cannot read that it was refused, when these fields are wrong.
@Suite("what browsers are told")
struct CORSPolicyTests {
    private func config(_ change: (inout CORSConfig) -> Void = { _ in }) -> CORSConfig {
        var config = CORSConfig(allowedOrigins: ["https://shop.example.com", "https://*.example.org"])
        change(&config)
        return config
    }

    private func fields(_ config: CORSConfig, _ request: [(String, String)]) -> [String: String] {
        Dictionary(CORSPolicy(config).fields(for: head(request)), uniquingKeysWith: { $1 })
    }

    private func preflight(
        _ origin: String, method: String = "POST", headers: String? = nil
    ) -> [(String, String)] {
        [(":method", "OPTIONS"), ("origin", origin), ("access-control-request-method", method)]
            + (headers.map { [("access-control-request-headers", $0)] } ?? [])
    }

    @Test("a page that is allowed may ask")
    func allowsPreflight() {
        let config = config {
            $0.allowedHeaders = ["authorization"]
            $0.maxAge = 600
        }
        let asked = preflight("https://Shop.example.com", headers: "authorization, Content-Type")
        #expect(
            fields(config, asked) == [
                "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
                "access-control-allow-origin": "https://Shop.example.com",
                "access-control-allow-methods": "POST", "access-control-max-age": "600",
                "access-control-allow-headers": "authorization, Content-Type",
                "access-control-allow-credentials": "true",
            ])
    }

    @Test("what is not allowed is told nothing but that it may differ")
    func refusesPreflight() {
        for asked in [
            preflight("https://evil.example.com"), preflight("https://example.org"),
            preflight("https://shop.example.com", method: "DELETE"),
            preflight("https://shop.example.com", headers: "x-tenant"),
            preflight("https://a\r\nx: y.example.org"),
        ] {
            #expect(Array(fields(config(), asked).keys) == ["vary"], "\(asked)")
        }
    }

    @Test("an answer may be read by the pages that are allowed, in all its fields that are exposed")
    func exposes() {
        let config = config { $0.exposedHeaders = ["retry-after", "x-id"] }
        let told = fields(config, [(":method", "POST"), ("origin", "https://a.b.example.org")])
        #expect(
            told == [
                "vary": "Origin", "access-control-allow-origin": "https://a.b.example.org",
                "access-control-expose-headers": "retry-after, x-id",
                "access-control-allow-credentials": "true",
            ])
        #expect(fields(config, [(":method", "POST")]) == ["vary": "Origin"])
        #expect(fields(config, [(":method", "POST"), ("origin", "null")]) == ["vary": "Origin"])
    }

    @Test("a star allows all")
    func allowsAll() {
        let config = config {
            $0.allowedOrigins = ["*"]
            $0.allowedHeaders = ["*"]
            $0.maxAge = -1
        }
        let told = fields(config, preflight("null", headers: "x-anything"))
        #expect(told["access-control-allow-origin"] == "*")
        #expect(told["access-control-allow-headers"] == "x-anything")
        #expect(told["access-control-max-age"] == "0")
    }

    @Test("the answer to a preflight has neither body nor length")
    func isEmpty() {
        var buffer = ByteBuffer()
        AnswerWriter(responseHeaders: [(name: "X-A", value: "b")]).writeHTTP1(
            .failed(.plain(204, "")), AnswerForm(), .none, adding: [("vary", "Origin")], to: &buffer)
        #expect(String(buffer: buffer) == "HTTP/1.1 204 No Content\r\nx-a: b\r\nvary: Origin\r\n\r\n")
    }
}
