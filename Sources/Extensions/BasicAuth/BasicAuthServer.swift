internal import Configuration
internal import HTTP
internal import Hashing
internal import Logging
package import NIOCore
internal import OTLP
package import Pipeline
internal import Synchronization

/// Lets in who knows a user's password (RFC 7617): `basicauth` with `htpasswd`. Any thread.
///
/// A password that was right is remembered, so that only a client's first request pays for its hash. Slow hashes are made
/// off the event loops, one at a time, with pauses as long as wrong ones take; a wrong password makes further ones of its user
/// wait half a second: guessing costs less than half of one processor's time and holds up no other user for long.
package final class BasicAuthServer: ServerAuthenticator {
    private struct State {
        /// What the table was made of.
        var fileText: String?
        var table = PasswordTable()
        /// Users by the HMACs of credentials that were right, under a key of this process.
        var known: [[UInt8]: String] = [:]
        /// When the password of a user is looked at again after a wrong one; "" for all who are no users.
        var nextSlowCheck: [String: NIODeadline] = [:]
        /// When the next one of anybody is.
        var nextOfAll = NIODeadline.uptimeNanoseconds(0)
    }

    /// A name and a password.
    private struct Credentials {
        let user: String
        let password: [UInt8]
        let mark: [UInt8]
    }

    /// More credentials than this are not remembered.
    private static let knownMax = 10_000
    private static let pauseAfterWrong = TimeAmount.milliseconds(500)

    package let challenge = "Basic realm=\"sluice\", charset=\"UTF-8\""
    private let inline: String
    private let file: WatchedFile?
    private let key: [UInt8] = (0..<32).map { _ in UInt8.random(in: .min ... .max) }
    private let logger: Logger
    private let state = Mutex(State())
    /// Held while a slow hash is made.
    private let turn = Mutex(())

    package init(_ config: BasicAuthConfig, _ context: ComponentContext) {
        inline = config.htpasswd?.inline.value ?? ""
        file = config.htpasswd?.file.map {
            WatchedFile(
                $0, key: "htpasswd::file", eventLoop: context.eventLoop, logger: context.logger)
        }
        logger = context.logger
    }

    package func start() async throws {
        try await file?.start()
        let problems = state.withLock { state in
            state.fileText = file?.text
            state.table = table(of: state.fileText)
            return state.table.problems
        }
        if let problem = problems.first { throw BasicAuthError(description: "htpasswd: \(problem)") }
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        file?.stop()
        return Remainder()
    }

    private func table(of fileText: String?) -> PasswordTable {
        var table = PasswordTable()
        if let fileText { table.add(fileText) }
        // Last, so that it wins for a user of both.
        table.add(inline)
        return table
    }

    /// Takes up a file that was replaced, unless something is wrong with it.
    private func renew(_ state: inout State) {
        guard let text = file?.text, text != state.fileText else { return }
        state.fileText = text
        let table = table(of: text)
        if let problem = table.problems.first {
            logger.warning(
                "A file of passwords cannot be read; what it said before is used.",
                metadata: ["key": "htpasswd::file", "error": "\(problem)"])
        } else {
            // Whose password is the same stays known.
            let old = state.table.hashes
            state.known = state.known.filter { table.hashes[$0.value] == old[$0.value] }
            state.table = table
            state.nextSlowCheck = [:]
        }
    }

    /// What a password is compared with; nil: it is known to be right.
    ///
    /// Where anybody has a slow hash, unknown users cost as much time as its owner, so that nobody learns who they are.
    /// - Throws: it has to wait.
    private func find(
        _ shown: Credentials, _ state: inout State
    ) throws(AuthenticationRefusal) -> (hash: PasswordHash, isUser: Bool)? {
        renew(&state)
        if state.known[shown.mark] != nil { return nil }
        let own = state.table.hashes[shown.user]
        let hash = own ?? state.table.hashes.values.first(where: \.isSlow) ?? .plain([])
        let next = state.nextSlowCheck[own == nil ? "" : shown.user] ?? state.nextOfAll
        if hash.isSlow, NIODeadline.now() < max(next, state.nextOfAll) {
            throw AuthenticationRefusal(
                "too many wrong passwords: this one is not looked at now", retryAfterSeconds: 1)
        }
        return (hash, own != nil)
    }

    package func admit(_ field: (_ name: String) -> String?) throws(AuthenticationRefusal) -> LongCheck? {
        guard let value = field("authorization"), !value.isEmpty else {
            throw AuthenticationRefusal("no basic auth provided")
        }
        guard value.prefix(6).lowercased() == "basic " else {
            throw AuthenticationRefusal("invalid authorization scheme prefix")
        }
        guard let decoded = Base64.decode(Array(value.utf8.dropFirst(6))),
            let colon = decoded.firstIndex(of: UInt8(ascii: ":"))
        else { throw AuthenticationRefusal("invalid authorization format") }
        let shown = Credentials(
            user: String(decoding: decoded[..<colon], as: UTF8.self),
            password: Array(decoded[(colon + 1)...]), mark: Digest.sha256.hex(of: decoded, key: key))
        let found = try state.withLock { state throws(AuthenticationRefusal) in try find(shown, &state) }
        guard let (hash, isUser) = found else { return nil }
        guard hash.isSlow else {
            guard hash.matches(shown.password), isUser else { throw Self.wrong }
            return nil
        }
        return { () throws(AuthenticationRefusal) in try self.checkSlowly(shown) }
    }

    private static let wrong = AuthenticationRefusal("invalid credentials")

    /// Waits for its turn, after which the same credentials may be known, or wrong ones have come.
    private func checkSlowly(_ shown: Credentials) throws(AuthenticationRefusal) {
        try turn.withLock { _ throws(AuthenticationRefusal) in
            let found = try state.withLock { state throws(AuthenticationRefusal) in try find(shown, &state) }
            guard let (hash, isUser) = found else { return }
            let began = NIODeadline.now()
            let isRight = hash.matches(shown.password) && isUser
            let end = NIODeadline.now()
            state.withLock { state in
                if isRight, state.known.count < Self.knownMax, state.table.hashes[shown.user] == hash {
                    state.known[shown.mark] = shown.user
                }
                if !isRight { state.nextOfAll = end + (end - began) }
                state.nextSlowCheck[isUser ? shown.user : ""] = isRight ? nil : end + Self.pauseAfterWrong
            }
            guard isRight else { throw Self.wrong }
        }
    }
}

/// Why an authenticator cannot start.
struct BasicAuthError: Error, CustomStringConvertible {
    let description: String
}
