import NIOSSL
import Testing

@testable import HTTP

/// A certificate that is taken for another server's lets whoever holds it read everything.
@Suite struct ServerNameTests {
    @Test(arguments: [
        ("a.example", "a.example"), ("A.Example", "a.eXample"), ("*.example.org", "a.example.org"),
        ("localhost", "localhost"),
    ])
    func namesMatch(pattern: String, name: String) {
        #expect(ServerName.matches(pattern, name))
    }

    @Test(arguments: [
        ("a.example", "b.example"), ("*.example.org", "example.org"), ("*.example.org", "a.b.example.org"),
        ("*.org", "example.org"), ("*", "localhost"), ("a*.example.org", "ab.example.org"),
        ("*.*.org", "a.b.org"), ("", ""), ("example.org", "xexample.org"), ("*.example.org", ".example.org"),
    ])
    func othersDoNot(pattern: String, name: String) {
        #expect(!ServerName.matches(pattern, name))
    }

    /// The certificate of the tests is for `localhost` and 127.0.0.1.
    @Test(arguments: ["localhost", "LOCALHOST.", "127.0.0.1"]) func theRightServerIsTaken(name: String) throws
    {
        let certificate = try NIOSSLCertificate(bytes: Array(TestCertificates.server.utf8), format: .pem)
        try ServerName(name).check(certificate)
    }

    @Test(arguments: ["elsewhere", "127.0.0.2", "::1", "localhost.example"])
    func othersAreRefused(name: String) throws {
        let certificate = try NIOSSLCertificate(bytes: Array(TestCertificates.server.utf8), format: .pem)
        let error = #expect(throws: WrongServer.self) { try ServerName(name).check(certificate) }
        #expect("\(error!)".contains("not for \"\(name)\" but for localhost"))
    }

    /// An address is not announced as a name; an authority's own certificate has no names at all.
    @Test func addressesAreNotAnnounced() throws {
        #expect(ServerName("a.example.").announced == "a.example" && ServerName("::1").announced == nil)
        let authority = try NIOSSLCertificate(bytes: Array(TestCertificates.authority.utf8), format: .pem)
        #expect(throws: WrongServer.self) { try ServerName("test authority").check(authority) }
    }
}
