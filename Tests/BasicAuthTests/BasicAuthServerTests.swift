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
@Suite("basicauth with htpasswd", .timeLimit(.minutes(10)))
struct BasicAuthServerTests {
    private func read(_ yaml: String) -> (BasicAuthConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = BasicAuthConfig(ConfigSection(yaml: yaml, path: "x", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    private static let bcrypt = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

    /// One whose pauses last as long as the test, and whose groups of names are the same every time.
    private func strict(_ users: String...) async throws -> BasicAuthServer {
        let (config, problems) = read(
            "htpasswd: {inline: \"\(users.map { "\($0):\(Self.bcrypt)" }.joined(separator: "\\n"))\"}")
        #expect(problems.isEmpty, "\(problems)")
        let server = BasicAuthServer(
            config,
            .alone(.extension, "basicauth", signal: nil, on: MultiThreadedEventLoopGroup.singleton.next()),
            key: Array(repeating: 1, count: 32), pauseAfterWrong: .hours(1))
        try await server.start()
        return server
    }

    private func check(
        _ server: BasicAuthServer, _ credentials: String
    ) throws(AuthenticationRefusal) -> LongCheck? {
        try server.admit { _ in basic(credentials) }
    }

    private static let wrong = AuthenticationRefusal("invalid credentials")
    private static let later = AuthenticationRefusal(
        "too many wrong passwords: this one is not looked at now", retryAfterSeconds: 1)

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

    @Test(
        "after a wrong password further ones of the name are not hashed; whether it is a user's does not show",
        arguments: ["me", "who"])
    func guessing(name: String) async throws {
        let server = try await strict("me")
        #expect(refusal(server, basic("\(name):wrong")) == Self.wrong)
        #expect(refusal(server, basic("\(name):wrong too")) == Self.later)
        // If one stranger's guess held up all names, or no other one's, users would be told from those who are none.
        let others = (0..<100).map { refusal(server, basic("stranger \($0):wrong")) }
        #expect(others.contains(Self.wrong) && others.allSatisfy { $0 == Self.wrong || $0 == Self.later })
        _ = await server.stop(until: .now())
    }

    @Test("a slow hash is made off the loop, and once for the same credentials however many ask at a time")
    func slow() async throws {
        let server = try await strict("me")
        let first = try #require(try check(server, "me:secret"))
        let second = try #require(try check(server, "me:secret"))
        let wrong = try #require(try check(server, "me:wrong"))
        let other = try #require(try check(server, "me:wrong too"))
        try first()
        #expect(try check(server, "me:secret") == nil, "known: nothing is left to do")
        #expect(throws: Self.wrong) { try wrong() }
        try second()
        #expect(throws: Self.later) { try other() }
        _ = await server.stop(until: .now())
    }

    @Test("who waits for the turn behind a stranger's wrong password comes in")
    func behindStranger() async throws {
        let server = try await strict("me")
        let stranger = try #require(try check(server, "who:wrong"))
        let user = try #require(try check(server, "me:secret"))
        #expect(throws: Self.wrong) { try stranger() }
        try user()
        _ = await server.stop(until: .now())
    }

    @Test("more passwords than 64 do not wait: strangers would fill the memory, and users wait for minutes")
    func pending() async throws {
        let server = try await strict("me")
        var waiting: [LongCheck?] = []
        for index in 0..<BasicAuthServer.pendingMax {
            waiting.append(try check(server, "stranger \(index):wrong"))
        }
        #expect(refusal(server, basic("me:secret"))?.retryAfterSeconds == 1)
        // Whoever waited for it has gone: it is never made.
        waiting.removeLast()
        #expect(refusal(server, basic("me:secret")) == nil)
        #expect(waiting.allSatisfy { $0 != nil })
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
