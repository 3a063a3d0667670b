package import OTLP
package import RegularExpression

/// How texts are compared: `match_type`.
package enum MatchType: Sendable, Equatable {
    /// Equal, byte by byte.
    case strict
    /// A pattern that occurs somewhere in the text.
    case regexp

    /// - Throws: the word is neither.
    package init(_ word: String) throws(MatchError) {
        switch word {
        case "strict": self = .strict
        case "regexp": self = .regexp
        default:
            throw MatchError("unrecognized match_type: '\(word)', valid types are: [regexp strict]")
        }
    }
}

/// Why a section that selects items is not valid, in the Collector's words.
package struct MatchError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    /// The same, with what was being made before it.
    package func within(_ what: String) -> MatchError { MatchError("\(what): \(description)") }
}

/// A list of texts or patterns, of which one must match. Any thread; allocates nothing.
package struct TextMatcher: Sendable {
    private enum Texts: Sendable {
        case strict([OwnedBytes])
        case regexp([RegularExpression])
    }

    private let texts: Texts

    /// - Throws: one of the patterns is none.
    package init(_ type: MatchType, _ texts: [String]) throws(MatchError) {
        switch type {
        case .strict: self.texts = .strict(texts.map { OwnedBytes($0) })
        case .regexp:
            var patterns: [RegularExpression] = []
            for text in texts { patterns.append(try RegularExpression.goPattern(text)) }
            self.texts = .regexp(patterns)
        }
    }

    /// Whether one of them matches.
    package func matches(_ text: WireBytes) -> Bool {
        switch texts {
        case .strict(let texts):
            for candidate in texts where candidate.bytes.isEqual(to: text) { return true }
        case .regexp(let patterns):
            for pattern in patterns where pattern.occurs(in: text) { return true }
        }
        return false
    }
}

extension RegularExpression {
    /// A pattern as the Collector reads it: `.` does not match a line feed.
    package static func goPattern(_ text: String) throws(MatchError) -> RegularExpression {
        do throws(RegularExpressionError) {
            return try RegularExpression(text, dotMatchesLineFeed: false)
        } catch {
            throw MatchError("error parsing regexp: \(error)")
        }
    }

    /// Whether the pattern occurs in the text. Allocates nothing.
    package func occurs(in text: WireBytes) -> Bool {
        // SAFETY: borrowed for the call; bytes are bound to nothing else.
        unsafe text.unsafeBytes.withMemoryRebound(to: UInt8.self) { unsafe occurs(in: $0) }
    }
}
