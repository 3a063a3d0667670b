internal import Configuration
internal import Hashing
internal import OTLP

/// The users of an `htpasswd` file, or of a text of that form: a line for each, `user:hash`.
struct PasswordTable: Sendable {
    private(set) var hashes: [String: PasswordHash] = [:]
    /// What is wrong, as sentences that begin with the line; never with a password in them.
    private(set) var problems: [String] = []

    /// Adds the lines of a text; a user that is there already gets the new hash.
    mutating func add(_ text: String) {
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            .enumerated()
        {
            let line = String(line).trimmed
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            guard let colon = line.firstIndex(of: ":") else {
                problems.append("line \(index + 1) has no colon between a user and a password")
                continue
            }
            let user = String(line[..<colon])
            let hash = String(line[line.index(after: colon)...])
            // As of ${env:USER}:${env:PASSWORD} while neither is set: it would let everybody in.
            if user.isEmpty || hash.isEmpty {
                problems.append("line \(index + 1) has an empty \(user.isEmpty ? "user" : "password")")
            } else if let known = Self.hash(hash) {
                let cost = Self.cost(hash)
                if cost > PasswordHash.bcryptCostMax {
                    problems.append(
                        "line \(index + 1) has a password with a bcrypt cost of \(cost), which would hold up everybody for seconds; the limit is \(PasswordHash.bcryptCostMax): make it with htpasswd -B -C 10"
                    )
                } else {
                    hashes[user] = known
                }
            } else {
                problems.append(
                    "line \(index + 1) has a password in a form that is not known; make it with htpasswd -B")
            }
        }
    }

    /// The cost that a bcrypt hash names, `$2y$12$…`; 0 for others.
    private static func cost(_ text: String) -> Int {
        guard text.hasPrefix("$2") else { return 0 }
        let parts = text.split(separator: "$")
        return parts.count > 1 ? Int(parts[1]) ?? Int.max : Int.max
    }

    /// Reads what stands behind the colon; nil: a form that is not known. As in the Collector, what looks like no hash is
    /// the password itself.
    private static func hash(_ text: String) -> PasswordHash? {
        if text.hasPrefix("$2") { return text.utf8.count == 60 ? .bcrypt(Array(text.utf8)) : nil }
        for magic in ["$apr1$", "$1$"] where text.hasPrefix(magic) {
            let parts = text.dropFirst(magic.count).split(separator: "$", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].utf8.count <= 8, parts[1].utf8.count == 22 else { return nil }
            return .md5Crypt(
                magic: Array(magic.utf8), salt: Array(parts[0].utf8), digits: Array(parts[1].utf8))
        }
        for prefix in ["{SHA}", "{SSHA}"] where text.hasPrefix(prefix) {
            guard let bytes = Base64.decode(Array(text.utf8.dropFirst(prefix.count))), bytes.count >= 20,
                (bytes.count == 20) == (prefix == "{SHA}")
            else { return nil }
            return .sha1(digest: Array(bytes.prefix(20)), salt: Array(bytes.dropFirst(20)))
        }
        if text.hasPrefix("{PLAIN}") { return .plain(Array(text.utf8.dropFirst(7))) }
        // $5$, $6$, $y$ and the like: hashes, for which nobody must take them as passwords.
        let isOtherHash = text.hasPrefix("$") && text.dropFirst().prefix(8).contains("$")
        return isOtherHash ? nil : .plain(Array(text.utf8))
    }
}
