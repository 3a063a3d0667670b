import BearerTokenAuth
import Configuration
import Foundation
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

/// A fault here sends no token or a wrong one.
@Suite("bearertokenauth")
struct BearerTokenAuthTests {
    private func read(_ yaml: String) -> (BearerTokenAuthConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = BearerTokenAuthConfig(ConfigSection(yaml: yaml, path: "x", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    private func edits(_ yaml: String) async throws -> [HeaderEdit] {
        let (config, problems) = read(yaml)
        #expect(problems.isEmpty, "\(problems)")
        let auth = BearerTokenAuth(
            config,
            .alone(
                .extension, "bearertokenauth", signal: nil, on: MultiThreadedEventLoopGroup.singleton.next()))
        try await auth.start()
        let edits = try auth.edits(for: Batch(.traces))
        _ = await auth.stop(until: .now())
        return edits
    }

    @Test("the token stands behind its scheme, in its header")
    func token() async throws {
        #expect(try await edits("token: abc") == [HeaderEdit(.upsert, "Authorization", "Bearer abc")])
        #expect(try await edits("tokens: [one, two]") == [HeaderEdit(.upsert, "Authorization", "Bearer one")])
        #expect(
            try await edits("{token: abc, scheme: '', header: X-Key}") == [
                HeaderEdit(.upsert, "X-Key", "abc")
            ])
    }

    @Test("a file wins over the token; what follows its first word is for people")
    func file() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "token-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data("first of March\nsecond\n".utf8).write(to: file)
        #expect(
            try await edits("{token: abc, filename: \(file.path)}") == [
                HeaderEdit(.upsert, "Authorization", "Bearer first")
            ])
    }

    @Test("any of the tokens opens, and nothing else")
    func server() async throws {
        func refusal(_ yaml: String, _ name: String, _ value: String?) -> String? {
            let auth = BearerTokenAuth(
                read(yaml).0,
                .alone(
                    .extension, "bearertokenauth", signal: nil,
                    on: MultiThreadedEventLoopGroup.singleton.next()))
            do throws(AuthenticationRefusal) {
                _ = try auth.admit { $0 == name ? value : nil }
                return nil
            } catch {
                return error.message
            }
        }
        let wrong = "provided authorization does not match expected scheme or token"
        let several = "tokens: [one, two]"
        #expect(refusal(several, "authorization", "Bearer one") == nil)
        #expect(refusal(several, "authorization", "Bearer two") == nil)
        for value in ["Bearer three", "bearer one", "one", "Bearer one ", "Bearer ", "Bearer", ""] {
            #expect(refusal(several, "authorization", value) == wrong, "\(value)")
        }
        #expect(
            refusal(several, "authorization", nil) == "missing or empty authorization header: Authorization")
        #expect(refusal("{token: abc, scheme: '', header: X-Key}", "x-key", "abc") == nil)
        // A token that comes from nowhere must not be a door that stands open.
        #expect(refusal("{token: '', scheme: ''}", "authorization", "") == wrong)
        #expect(refusal("token: ''", "authorization", "Bearer ") == wrong)
    }

    @Test("each line of a file has a token of its own")
    func serverFile() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "tokens-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data("first of March\n\n  second\r\n".utf8).write(to: file)
        let auth = BearerTokenAuth(
            read("filename: \(file.path)").0,
            .alone(
                .extension, "bearertokenauth", signal: nil, on: MultiThreadedEventLoopGroup.singleton.next()))
        try await auth.start()
        for (value, isIn) in [("Bearer first", true), ("Bearer second", true), ("Bearer of", false)] {
            var isRefused = false
            do throws(AuthenticationRefusal) { _ = try auth.admit { _ in value } } catch { isRefused = true }
            #expect(isRefused != isIn, "\(value)")
        }
        _ = await auth.stop(until: .now())
    }

    @Test(
        "mistakes are named as the Collector names them",
        arguments: [
            ("", "x: no bearer token provided"),
            ("{token: a, tokens: [b]}", "x::tokens: either tokens or token should be provided, not both"),
            (
                "filename: /no/such", "x::filename: \"/no/such\" cannot be read: No such file or directory"
            ),
        ])
    func mistakes(yaml: String, message: String) {
        #expect(read(yaml).1 == [message])
    }
}
