import HTTP
import Testing

/// A fault here sends data to a proxy that must not see it, or past the only one that lets it out.
@Suite("HTTP_PROXY, HTTPS_PROXY and NO_PROXY")
struct ProxyEnvironmentTests {
    private func proxy(
        _ variables: [String: String], _ host: String, _ port: Int = 443, isTLS: Bool = true
    ) -> String? {
        ProxyEnvironment { variables[$0] }.proxy(host: host, port: port, isTLS: isTLS)
            .map { "\($0.host):\($0.port)" }
    }

    @Test("each scheme has its own, in capitals or not")
    func schemes() {
        let variables = ["HTTP_PROXY": "http://a:1", "https_proxy": "b:2"]
        #expect(proxy(variables, "example.com", 80, isTLS: false) == "a:1")
        #expect(proxy(variables, "example.com") == "b:2")
        #expect(proxy(["HTTP_PROXY": "a:1"], "example.com") == nil)
        #expect(proxy(["HTTPS_PROXY": "socks5://a:1"], "example.com") == nil)
        #expect(proxy([:], "example.com") == nil)
    }

    @Test("a proxy that cannot be used is named, without its password")
    func problems() {
        func problems(_ variables: [String: String]) -> [String] {
            ProxyEnvironment { variables[$0] }.problems
        }
        let named = problems(["HTTPS_PROXY": "socks5://me:secret@a:1", "http_proxy": "https://b:2"])
        #expect(
            named == [
                "HTTP_PROXY is a proxy of the scheme https, which is not supported yet",
                "HTTPS_PROXY is a proxy of the scheme socks5, which is not supported yet",
            ])
        #expect(problems(["HTTP_PROXY": "http://me:secret@a:99999"]).first?.contains("secret") == false)
        #expect(problems(["HTTP_PROXY": "a:1", "HTTPS_PROXY": "http://b"]) == [])
    }

    @Test("credentials become Proxy-Authorization")
    func credentials() throws {
        #expect(try HTTPProxy("http://me:pass@p:3128").authorization == "Basic bWU6cGFzcw==")
        #expect(try HTTPProxy("p:3128").authorization == nil)
    }

    @Test(
        "who is asked directly",
        arguments: [
            ("example.com", "example.com", true), ("example.com", "a.example.com", true),
            ("example.com", "badexample.com", false), (".example.com", "a.example.com", true),
            (".example.com", "example.com", false), ("*.example.com", "a.example.com", true),
            (" x , EXAMPLE.com", "example.COM", true), ("*", "anything", true),
            ("example.com:443", "example.com", true), ("example.com:80", "example.com", false),
            ("10.0.0.0/8", "10.1.2.3", true), ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/8", "ten.example", false), ("10.1.2.3", "10.1.2.3", true),
            ("fd00::/9", "fd7f::1", true), ("fd00::/9", "fd80::1", false), ("[fd00::1]:443", "fd00::1", true),
            ("", "localhost", true), ("", "127.9.9.9", true), ("", "::1", true), ("", "128.0.0.1", false),
        ])
    func exceptions(noProxy: String, host: String, isDirect: Bool) {
        let found = proxy(["HTTPS_PROXY": "p:1", "NO_PROXY": noProxy], host)
        #expect((found == nil) == isDirect, "\(found ?? "directly")")
    }
}
