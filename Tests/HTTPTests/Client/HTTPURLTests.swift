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
}
