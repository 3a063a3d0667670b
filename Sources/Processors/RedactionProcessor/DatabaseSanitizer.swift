/// Takes the values out of statements of one kind of database, and leaves what tells statements apart. Immutable.
struct DatabaseSanitizer: Sendable {
    /// Keys below `db_sanitizer`.
    enum Kind: String, Sendable, CaseIterable {
        case sql, redis, valkey, memcached, mongo, opensearch, es

        /// What `db.system.name` or `db.system` says of such a database.
        var systems: Set<String> {
            switch self {
            case .sql:
                [
                    "other_sql", "mysql", "postgresql", "mariadb", "sqlite", "mssql", "microsoft.sql_server",
                    "oracle",
                    "oracle.db", "db2", "ibm.db2", "cockroachdb", "clickhouse",
                ]
            case .redis: ["redis"]
            case .valkey: ["valkey", "redis"]
            case .memcached: ["memcached"]
            case .mongo: ["mongodb"]
            case .opensearch: ["opensearch"]
            case .es: ["elasticsearch"]
            }
        }
    }

    let kind: Kind
    /// Empty: all attributes.
    let attributes: Set<String>

    func concerns(system: String) -> Bool { kind.systems.contains(system) }

    func concerns(key: String) -> Bool { attributes.isEmpty || attributes.contains(key) }

    /// The statement without values.
    /// - Parameter system: what names the database, in small letters; where nothing does, what may be a value is one.
    func sanitize(_ statement: [UInt8], of system: String? = nil) -> [UInt8] {
        switch kind {
        case .sql: SQLText(statement, SQLDialect(system: system)).sanitized()
        case .redis, .valkey: Self.commands(statement)
        case .memcached: Self.command(statement)
        case .mongo, .opensearch, .es: JSONShape(statement).sanitized()
        }
    }

    /// The command of each line: the first word of the first line; of further lines, which may be those of a value, one of
    /// capitals.
    private static func commands(_ text: [UInt8]) -> [UInt8] {
        let lines = text.split(separator: UInt8(ascii: "\n")).enumerated().map { index, line -> [UInt8] in
            let line = line.drop(while: isBlank)
            let command = line.prefix { !isBlank($0) }
            let isCommand = command.allSatisfy { byte in
                let letter = index == 0 ? byte & ~0x20 : byte
                return (65...90).contains(letter) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
            }
            guard isCommand, command.count <= 32 else { return [UInt8(ascii: "?")] }
            let hasMore = line.dropFirst(command.count).contains { !isBlank($0) }
            return Array(command) + (hasMore ? Array(" ?".utf8) : [])
        }
        return Array(lines.joined(separator: [UInt8(ascii: "\n")]))
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (9...13).contains(byte) }

    /// What stands before the value.
    private static func command(_ text: [UInt8]) -> [UInt8] {
        Array(text.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") })
    }
}

/// What differs between the databases that speak SQL. Where nothing tells which one, what may be a value is one.
private struct SQLDialect {
    /// Text in double quotes is a value, not a name.
    var quotesValues = true
    /// `#` begins a comment.
    var hasHashComments = true
    /// Whether a backslash takes the meaning of a quote behind it; nil when nothing tells.
    var escapes: Bool?

    init(system: String?) {
        switch system {
        case "mysql", "mariadb": escapes = true
        case "clickhouse": (quotesValues, hasHashComments, escapes) = (false, true, true)
        case "sqlite": (hasHashComments, escapes) = (false, false)
        case nil, "other_sql": break
        default: (quotesValues, hasHashComments, escapes) = (false, false, false)
        }
    }
}

/// A statement of SQL whose literals become `?`, and so do digits in names; comments go.
private struct SQLText {
    private let text: [UInt8]
    private let dialect: SQLDialect
    private var position = 0
    private var result: [UInt8] = []

    init(_ text: [UInt8], _ dialect: SQLDialect) { (self.text, self.dialect) = (text, dialect) }

    func sanitized() -> [UInt8] {
        var scan = self
        while scan.position < text.count { scan.step() }
        while scan.result.last == UInt8(ascii: " ") { scan.result.removeLast() }
        return scan.result
    }

    private mutating func step() {
        let byte = text[position]
        let rest = text[position...]
        switch byte {
        case UInt8(ascii: "'"): literal(end: closing(byte, escapes: dialect.escapes))
        case UInt8(ascii: "\"") where dialect.quotesValues:
            literal(end: closing(byte, escapes: dialect.escapes))
        case UInt8(ascii: "e") where hasQuoteBehind, UInt8(ascii: "E") where hasQuoteBehind:
            position += 1
            literal(end: closing(UInt8(ascii: "'"), escapes: true))
        case UInt8(ascii: "\""), UInt8(ascii: "`"):
            let end = closing(byte, escapes: false)
            digitless(text[position..<end])
            position = end
        case UInt8(ascii: "$"):
            let tag = rest.dropFirst().prefix { $0 == UInt8(ascii: "_") || Self.isWord($0) }
            let mark = Array(rest.prefix(tag.count + 2))
            if mark.last == byte, mark.count > 1 {
                return literal(end: find(mark, from: position + mark.count))
            }
            fallthrough
        default:
            if rest.starts(with: "--".utf8) || byte == UInt8(ascii: "#") && dialect.hasHashComments {
                position = rest.firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            } else if rest.starts(with: "/*".utf8) {
                position = find(Array("*/".utf8), from: position + 2)
            } else if Self.isDigit(byte) {
                literal(end: rest.firstIndex { !Self.isWord($0) && $0 != UInt8(ascii: ".") } ?? text.count)
            } else if Self.isWord(byte) {
                let word = rest.prefix { Self.isWord($0) }
                digitless(word)
                position = word.endIndex
            } else {
                result.append(byte)
                position += 1
            }
        }
    }

    private mutating func literal(end: Int) {
        result.append(UInt8(ascii: "?"))
        position = end
    }

    /// Whether a text in single quotes begins with the next byte: PostgreSQL's `E'…'`.
    private var hasQuoteBehind: Bool {
        position + 1 < text.count && text[position + 1] == UInt8(ascii: "'")
    }

    /// Behind the quote that ends what begins here; doubled and escaped ones do not. Where it depends on the database which
    /// one does, and nothing tells, all of the rest is taken for the value.
    private func closing(_ quote: UInt8, escapes: Bool?) -> Int {
        var index = position + 1
        while index < text.count {
            if text[index] == UInt8(ascii: "\\"), escapes != false {
                if escapes == nil, index + 1 < text.count, text[index + 1] == quote { return text.count }
                index += 2
            } else if text[index] != quote {
                index += 1
            } else if index + 1 < text.count, text[index + 1] == quote {
                index += 2
            } else {
                return index + 1
            }
        }
        return text.count
    }

    private func find(_ mark: [UInt8], from start: Int) -> Int {
        var index = start
        while index + mark.count <= text.count {
            if text[index] == mark[0], text[index..<index + mark.count].elementsEqual(mark) {
                return index + mark.count
            }
            index += 1
        }
        return text.count
    }

    private mutating func digitless(_ word: ArraySlice<UInt8>) {
        for byte in word {
            if !Self.isDigit(byte) {
                result.append(byte)
            } else if result.last != UInt8(ascii: "?") {
                result.append(UInt8(ascii: "?"))
            }
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    private static func isWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "_") || byte >= 0x80 || (97...122).contains(byte | 0x20)
    }
}

/// A text of JSON whose values become `"?"`; its keys stay. What is no JSON ends in `...`.
private struct JSONShape {
    private let text: [UInt8]
    private var position = 0
    private var result: [UInt8] = []

    init(_ text: [UInt8]) { self.text = text }

    func sanitized() -> [UInt8] {
        var scan = self
        while scan.position < text.count {
            guard scan.step() else {
                scan.result += Array("...".utf8)
                break
            }
        }
        return scan.result
    }

    private mutating func step() -> Bool {
        let byte = text[position]
        switch byte {
        case 9, 10, 13, 32: position += 1
        case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ","),
            UInt8(ascii: ":"):
            result.append(byte)
            position += 1
        case UInt8(ascii: "\""):
            guard let end = closing() else { return false }
            let next = text[end...].first { ![9, 10, 13, 32].contains($0) }
            result += next == UInt8(ascii: ":") ? Array(text[position..<end]) : Array("\"?\"".utf8)
            position = end
        case UInt8(ascii: "-"), 48...57, UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
            let word = text[position...].prefix {
                ![9, 10, 13, 32].contains($0) && !",]}".utf8.contains($0)
            }
            result += Array("\"?\"".utf8)
            position = word.endIndex
        default: return false
        }
        return true
    }

    private func closing() -> Int? {
        var index = position + 1
        while index < text.count {
            if text[index] == UInt8(ascii: "\"") { return index + 1 }
            index += text[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }
}
