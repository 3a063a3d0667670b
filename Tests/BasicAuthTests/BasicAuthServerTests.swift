import Configuration
import Foundation
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import BasicAuth

/// A fault here lets in who knows no password, or keeps out who does.
@Suite("basicauth with htpasswd", .timeLimit(.minutes(1)))
struct BasicAuthServerTests {
    private func read(_ yaml: String) -> (BasicAuthConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = BasicAuthConfig(ConfigSection(yaml: yaml, path: "x", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    private func server(_ yaml: String) async throws -> BasicAuthServer {
        let (config, problems) = read(yaml)
        #expect(problems.isEmpty, "\(problems)")
        let server = BasicAuthServer(
            config,
            .alone(.extension, "basicauth", signal: nil, on: MultiThreadedEventLoopGroup.singleton.next()))
        try await server.start()
        return server
    }

    /// What becomes of a request; nil: it comes in.
    private func refusal(_ server: BasicAuthServer, _ header: String?) -> AuthenticationRefusal? {
        do throws(AuthenticationRefusal) {
            try server.admit { $0 == "authorization" ? header : nil }?()
            return nil
        } catch {
            return error
        }
    }

    private func basic(_ credentials: String) -> String { "Basic " + Base64.text(Array(credentials.utf8)) }

    @Test(
        "every form of a password that htpasswd writes, and the password itself",
        arguments: [
            "secret", "{PLAIN}secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
            "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/",
            "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
            "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
        ])
    func forms(hash: String) async throws {
        let server = try await server("htpasswd: {inline: \"# people\\n\\nme:\(hash)\\r\\n\"}")
        #expect(refusal(server, basic("me:secret")) == nil)
        #expect(refusal(server, basic("me:secret")) == nil, "again, when it is known")
        #expect(refusal(server, basic("me:Secret"))?.message.isEmpty == false)
        #expect(refusal(server, basic("me:secret")) == nil, "known ones come in whoever guesses")
        _ = await server.stop(until: .now())
    }

    @Test("what is no answer to the challenge is refused in the Collector's words")
    func words() async throws {
        let server = try await server("htpasswd: {inline: 'me:secret'}")
        let plain = Base64.text(Array("me".utf8))
        for (header, message) in [
            (nil, "no basic auth provided"), ("", "no basic auth provided"),
            ("Bearer abc", "invalid authorization scheme prefix"),
            ("Basic ***", "invalid authorization format"),
            ("Basic \(plain)", "invalid authorization format"),
            (basic("me:wrong"), "invalid credentials"), (basic("you:secret"), "invalid credentials"),
            (basic("me:"), "invalid credentials"), (basic(":"), "invalid credentials"),
        ] {
            #expect(refusal(server, header) == AuthenticationRefusal(message), "\(header ?? "none")")
        }
        #expect(refusal(server, "bAsIc " + Base64.text(Array("me:secret".utf8))) == nil)
        _ = await server.stop(until: .now())
    }

    @Test("an unknown user whose password is empty or another one's stays outside")
    func unknown() async throws {
        let server = try await server(
            "htpasswd: {inline: \"me:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\\nyou:other\"}"
        )
        #expect(refusal(server, basic("who:secret")) == AuthenticationRefusal("invalid credentials"))
        _ = await server.stop(until: .now())
    }

    @Test("after a wrong password unknown ones are asked to come again, and are not hashed")
    func guessing() async throws {
        let server = try await server(
            "htpasswd: {inline: \"me:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\"}")
        #expect(refusal(server, basic("me:wrong")) == AuthenticationRefusal("invalid credentials"))
        // Perhaps half a second has gone by on a busy machine: then it is looked at, and is wrong.
        let second = refusal(server, basic("me:wrong too"))
        #expect(second?.retryAfterSeconds == 1 || second?.message == "invalid credentials")
        _ = await server.stop(until: .now())
    }

    @Test("a slow hash is made off the loop, and once for the same credentials however many ask at a time")
    func slow() async throws {
        let server = try await server(
            "htpasswd: {inline: \"me:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\"}")
        func check(_ credentials: String) throws(AuthenticationRefusal) -> LongCheck? {
            try server.admit { _ in basic(credentials) }
        }
        let (first, second) = (try #require(try check("me:secret")), try #require(try check("me:secret")))
        let (wrong, other) = (try #require(try check("me:wrong")), try #require(try check("who:wrong")))
        try first()
        #expect(try check("me:secret") == nil, "known: nothing is left to do")
        #expect(throws: AuthenticationRefusal("invalid credentials")) { try wrong() }
        // Now nothing of this user is hashed for half a second.
        try second()
        #expect(throws: AuthenticationRefusal.self) { try other() }
        _ = await server.stop(until: .now())
    }

    @Test("a long password is wrong at once: hashing it a thousand times would hold up everybody")
    func long() async throws {
        let server = try await server("htpasswd: {inline: 'me:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/'}")
        let header = basic("me:" + String(repeating: "x", count: 45_000))
        #expect(refusal(server, header) == AuthenticationRefusal("invalid credentials"))
        _ = await server.stop(until: .now())
    }

    @Test("who guesses one user's password does not keep another user out")
    func others() async throws {
        let hash = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
        let server = try await server("htpasswd: {inline: \"me:\(hash)\\nyou:\(hash)\"}")
        #expect(refusal(server, basic("me:wrong")) != nil)
        #expect(refusal(server, basic("who:wrong")) != nil)
        while refusal(server, basic("you:secret")) != nil { try await Task.sleep(for: .milliseconds(5)) }
        _ = await server.stop(until: .now())
    }

    @Test("a file that is replaced is taken up; inline lines win over it; a broken one changes nothing")
    func file() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "htpasswd-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data("me:first\nboth:file\n".utf8).write(to: file)
        let server = try await server("htpasswd: {file: \(file.path), inline: 'both:inline'}")
        #expect(refusal(server, basic("me:first")) == nil)
        #expect(refusal(server, basic("both:inline")) == nil)
        #expect(refusal(server, basic("both:file")) != nil)
        try Data("me:second\n".utf8).write(to: file)
        while refusal(server, basic("me:second")) != nil { try await Task.sleep(for: .milliseconds(20)) }
        #expect(refusal(server, basic("me:first")) != nil)
        try Data("me second\n".utf8).write(to: file)
        try await Task.sleep(for: .milliseconds(1500))
        #expect(refusal(server, basic("me:second")) == nil)
        _ = await server.stop(until: .now())
    }

    @Test(
        "lines that let nobody in, or everybody, are named by their number",
        arguments: [
            ("me", "x::htpasswd::inline: line 1 has no colon between a user and a password"),
            ("a:b\\n:", "x::htpasswd::inline: line 2 has an empty user"),
            ("me:", "x::htpasswd::inline: line 1 has an empty password"),
            (
                "me:$6$abc$def",
                "x::htpasswd::inline: line 1 has a password in a form that is not known; make it with htpasswd -B"
            ),
            (
                "me:$2y$short",
                "x::htpasswd::inline: line 1 has a password in a form that is not known; make it with htpasswd -B"
            ),
            (
                "me:$2y$17$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
                "x::htpasswd::inline: line 1 has a password with a bcrypt cost of 17, which would hold up everybody for seconds; the limit is 12: make it with htpasswd -B -C 10"
            ), (" ", "x::htpasswd: no credential source provided"),
        ])
    func mistakes(text: String, message: String) {
        #expect(read("htpasswd: {inline: \"\(text)\"}").1 == [message])
    }

    @Test("one that lets in sends nothing, and the other way round")
    func sides() {
        #expect(read("htpasswd: {inline: 'a:b'}").0.lacks == [.clientAuthentication])
        #expect(read("client_auth: {username: a, password: b}").0.lacks == [.serverAuthentication])
    }
}
