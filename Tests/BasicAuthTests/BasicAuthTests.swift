import BasicAuth
import Configuration
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

/// A fault here sends no credentials, wrong ones, or starts a gateway that cannot send.
@Suite("basicauth")
struct BasicAuthTests {
    private func read(_ yaml: String) -> (BasicAuthConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = BasicAuthConfig(ConfigSection(yaml: yaml, path: "x", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("name and password become one field, whatever is there")
    func field() throws {
        let (config, problems) = read("client_auth: {username: Aladdin, password: 'open sesame'}")
        #expect(problems.isEmpty)
        let auth = BasicAuth(
            config,
            .alone(.extension, "basicauth", signal: nil, on: MultiThreadedEventLoopGroup.singleton.next()))
        var fields = [(name: "authorization", value: "older"), (name: "a", value: "b")]
        try auth.edits(for: Batch(.traces)).apply(to: &fields)
        // The example of RFC 7617 §2.
        #expect(fields.map(\.name) == ["a", "Authorization"])
        #expect(fields.last?.value == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    }

    @Test(
        "mistakes are named as the Collector names them",
        arguments: [
            ("", "x: no credential source provided"),
            (
                "{htpasswd: {inline: 'a:b'}, client_auth: {username: a, password: b}}",
                "x::client_auth: only one of `htpasswd` or `client_auth` can be specified"
            ),
            (
                "client_auth: {username: 'a:b', password: c}",
                "x::client_auth::username: must have no colon: what follows it would be the password"
            ),
            (
                "client_auth: {username: a, password_file: /no/such}",
                "x::client_auth::password_file: \"/no/such\" cannot be read: No such file or directory"
            ),
        ])
    func mistakes(yaml: String, message: String) {
        #expect(read(yaml).1 == [message])
    }
}
