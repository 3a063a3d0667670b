import Testing

@testable import HTTP

/// An address that is read wrongly sends data to the wrong place.
@Suite struct HTTPURLTests {
    @Test(arguments: [
        ("http://h", "http", "h", 80, "/"), ("https://h", "https", "h", 443, "/"),
        ("HTTP://h:4318/v1/logs?a=b#c", "http", "h", 4318, "/v1/logs?a=b"),
        ("http://[::1]:9/x", "http", "::1", 9, "/x"),
        ("https://a.b-c_d.e?q", "https", "a.b-c_d.e", 443, "/?q"),
        ("http://10.0.0.1:1/%20", "http", "10.0.0.1", 1, "/%20"),
    ])
    func urlsAreTakenApart(text: String, scheme: String, host: String, port: Int, target: String) throws {
        let url = try HTTPURL(text)
        #expect(url.origin == HTTPOrigin(scheme: .init(rawValue: scheme)!, host: host, port: port))
        #expect(url.target == target && url.basicAuthorization == nil)
    }

    @Test(arguments: [
        ("h:4318", HTTPURLProblem.noScheme), ("ftp://h", .otherScheme("ftp")), ("http://", .noHost),
        ("http://:80/", .noHost), ("http://h:0", .badPort("0")), ("http://h:65536", .badPort("65536")),
        ("http://h:", .badPort("")), ("http://h:+1", .badPort("+1")), ("http://h h/", .badCharacter),
        ("http://h/\r\n", .badCharacter), ("http://ä/", .badCharacter), ("http://[::1", .badHost("[::1")),
        ("http://[h]/", .badHost("[h]")), ("http://h!x/", .badHost("h!x")), ("", .noScheme),
    ])
    func othersAreRefused(text: String, problem: HTTPURLProblem) {
        #expect(throws: problem) { try HTTPURL(text) }
    }

    /// Credentials become a header and never show.
    @Test(arguments: [
        ("u:p", "Basic dTpw"), ("user:pass%40word", "Basic dXNlcjpwYXNzQHdvcmQ="),
        ("a@b:c", "Basic YUBiOmM="), (":", "Basic Og=="),
    ])
    func credentialsBecomeAHeader(user: String, header: String) throws {
        let url = try HTTPURL("http://\(user)@h/x")
        #expect(url.basicAuthorization == header)
        #expect("\(url)" == "http://h/x")
    }

    @Test func authoritiesLeaveOutTheUsualPort() {
        #expect(HTTPOrigin(scheme: .http, host: "h", port: 80).authority == "h")
        #expect(HTTPOrigin(scheme: .https, host: "::1", port: 80).authority == "[::1]:80")
    }

    /// Without it a target behind a redirect of its own server is never scraped (RFC 3986 §5.4).
    @Test(arguments: [
        ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"), ("g;x", "/b/c/g;x"), ("", "/b/c/d;p?q"), (".", "/b/c/"), ("./", "/b/c/"),
        ("..", "/b/"), ("../", "/b/"), ("../g", "/b/g"), ("../..", "/"), ("../../g", "/g"),
        ("../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."), ("..g", "/b/c/..g"),
        ("./../g", "/b/g"), ("g/../h", "/b/c/h"), ("g?y/../x", "/b/c/g?y/../x"), ("#s", "/b/c/d;p?q"),
        ("a:b/c", nil), ("mailto:x", nil), ("//", nil), ("g h", nil), ("1:2", "/b/c/1:2"),
    ])
    func referencesAreRead(reference: String, target: String?) throws {
        let base = try HTTPURL("http://u:p@a:81/b/c/d;p?q")
        let found = base.resolving(reference)
        #expect(found?.target == target)
        #expect(target == nil || found?.origin == base.origin)
    }

    @Test(arguments: [
        ("//o/x", "https://o/x"), ("//o:82", "https://o:82/"), ("http://o/../y", "http://o/y"),
        ("HTTPS://o/y?z#f", "https://o/y?z"),
    ])
    func otherHostsAreRead(reference: String, address: String) throws {
        let found = try HTTPURL("https://u:p@a/b").resolving(reference)
        #expect(found?.description == address && found?.basicAuthorization == nil)
    }
}
