internal import Configuration
internal import Glibc
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
/// off the event loops, one at a time, after a wrong one with a pause as long as it took: guessing costs less than half of one
/// processor's time. After a wrong password further ones for the same name are turned away for half a second.
package final class BasicAuthServer: ServerAuthenticator {
    private struct State {
        /// What the table was made of.
        var fileText: String?
        var table = PasswordTable()
        /// Users by the HMACs of credentials that were right, under a key of this process.
        var known: [[UInt8]: String] = [:]
        /// When passwords for a name are looked at again after a wrong one, by their `group`.
        var nextSlowCheck: [[UInt8]: NIODeadline] = [:]
        /// When the next slow hash is made.
        var nextOfAll = NIODeadline.uptimeNanoseconds(0)
    }

    /// A name and a password.
    private struct Credentials {
        let user: String
        let password: [UInt8]
        let mark: [UInt8]
    }

    /// A place among the slow checks that are asked for, which it leaves when it is let go of.
    private final class SlowCheck: Sendable {
        private let server: BasicAuthServer
        private let shown: Credentials

        init(_ server: BasicAuthServer, _ shown: Credentials) {
            self.server = server
            self.shown = shown
            server.pending.add(1, ordering: .relaxed)
        }

        deinit { server.pending.subtract(1, ordering: .relaxed) }

        func run() throws(AuthenticationRefusal) { try server.checkSlowly(shown) }
    }

    /// More credentials than this are not remembered.
    private static let knownMax = 10_000
    /// More slow checks do not wait for their turn.
    static let pendingMax = 64

    package let challenge = "Basic realm=\"sluice\", charset=\"UTF-8\""
    private let inline: String
    private let file: WatchedFile?
    private let key: [UInt8]
    private let pauseAfterWrong: TimeAmount
    private let logger: Logger
    private let state = Mutex(State())
    private let pending = Atomic(0)

    /// - Parameter key: of this process.
    init(_ config: BasicAuthConfig, _ context: ComponentContext, key: [UInt8], pauseAfterWrong: TimeAmount) {
        self.key = key
        self.pauseAfterWrong = pauseAfterWrong
        inline = config.htpasswd?.inline.value ?? ""
        file = config.htpasswd?.file.map {
            WatchedFile(
                $0, key: "htpasswd::file", eventLoop: context.eventLoop, logger: context.logger)
        }
        logger = context.logger
    }

    package convenience init(_ config: BasicAuthConfig, _ context: ComponentContext) {
        let key = (0..<32).map { _ in UInt8.random(in: .min ... .max) }
        self.init(config, context, key: key, pauseAfterWrong: .milliseconds(500))
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

    /// One of 256 that names are in, users' or not: who is a user does not show, and strangers fill no memory.
    private func group(of name: String) -> [UInt8] {
        Array(Digest.sha256.hex(of: Array(name.utf8), key: key).prefix(2))
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
        if hash.isSlow, let next = state.nextSlowCheck[group(of: shown.user)], NIODeadline.now() < next {
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
        let check = SlowCheck(self, shown)
        guard pending.load(ordering: .relaxed) <= Self.pendingMax else {
            throw AuthenticationRefusal("too many passwords wait to be looked at", retryAfterSeconds: 1)
        }
        return { () throws(AuthenticationRefusal) in try check.run() }
    }

    private static let wrong = AuthenticationRefusal("invalid credentials")

    /// It is its turn: meanwhile the same credentials may have become known, or wrong ones for the name have come.
    private func checkSlowly(_ shown: Credentials) throws(AuthenticationRefusal) {
        let found = try state.withLock { state throws(AuthenticationRefusal) in
            try find(shown, &state).map { ($0, state.nextOfAll) }
        }
        guard let ((hash, isUser), next) = found else { return }
        Self.sleep(until: next)
        let began = NIODeadline.now()
        let isRight = hash.matches(shown.password) && isUser
        let end = NIODeadline.now()
        state.withLock { state in
            if isRight, state.known.count < Self.knownMax, state.table.hashes[shown.user] == hash {
                state.known[shown.mark] = shown.user
            }
            if !isRight { state.nextOfAll = end + (end - began) }
            state.nextSlowCheck[group(of: shown.user)] = isRight ? nil : end + pauseAfterWrong
        }
        guard isRight else { throw Self.wrong }
    }

    private static func sleep(until time: NIODeadline) {
        let rest = (time - NIODeadline.now()).nanoseconds
        if rest > 0 { usleep(UInt32(rest / 1000)) }
    }
}

/// Why an authenticator cannot start.
struct BasicAuthError: Error, CustomStringConvertible {
    let description: String
}
