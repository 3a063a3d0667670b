package import Configuration
package import OTLP

/// One entry of `attributes` or `resources`: a key that must be there, with a value that must match.
package struct AttributeMatchConfig: Sendable, Equatable {
    package var key: String
    /// Nil: any value.
    package var value: ConfigValue?

    package init(key: String, value: ConfigValue?) {
        self.key = key
        self.value = value
    }

    package init(_ section: ConfigSection) {
        key = section.optionalString("key") ?? ""
        value = section.anyValue("value")
    }
}

/// Attributes all of which must be there and match. Any thread.
package struct AttributeMatcher: Sendable {
    private enum Wanted: Sendable {
        case present
        case equal(OwnedValue)
        case text(TextMatcher)
    }

    private let entries: [(key: OwnedBytes, wanted: Wanted)]

    /// - Throws: a key is empty, or a pattern is none.
    package init(_ type: MatchType, _ attributes: [AttributeMatchConfig]) throws(MatchError) {
        var entries: [(key: OwnedBytes, wanted: Wanted)] = []
        for attribute in attributes {
            if attribute.key.isEmpty { throw MatchError("can't have empty key in the list of attributes") }
            let wanted: Wanted
            switch (attribute.value, type) {
            case (nil, _): wanted = .present
            case (let value?, .strict): wanted = .equal(value.owned)
            case (.string(let pattern)?, .regexp): wanted = .text(try TextMatcher(type, [pattern]))
            case (let value?, .regexp):
                throw MatchError(
                    "match_type=regexp for \"\(attribute.key)\" only supports Str, but found \(value.kindName)"
                )
            }
            entries.append((OwnedBytes(attribute.key), wanted))
        }
        self.entries = entries
    }

    package var isEmpty: Bool { entries.isEmpty }

    /// Whether all entries match.
    package func matches(_ request: RequestEditor, _ table: AttributeTable) -> Bool {
        for entry in entries {
            guard let value = request.value(entry.key.bytes, in: table) else { return false }
            switch entry.wanted {
            case .present: break
            case .equal(let expected):
                guard value.isSame(as: expected.value) else { return false }
            case .text(let texts):
                guard Self.matches(value, texts) else { return false }
            }
        }
        return true
    }

    /// Texts, numbers and booleans as they are written; nothing else matches a pattern.
    private static func matches(_ value: AttributeValue, _ texts: TextMatcher) -> Bool {
        let text: OwnedBytes
        switch value {
        case .string(let bytes): return texts.matches(bytes)
        case .bool, .int: text = OwnedBytes(AttributeText(value).bytes)
        case .double(let number): text = OwnedBytes(number.withoutExponent)
        case .empty, .array, .keyValueList, .bytes: return false
        }
        return withExtendedLifetime(text) { texts.matches(text.bytes) }
    }
}

extension Double {
    /// The fewest digits that mean the number, without an exponent.
    fileprivate var withoutExponent: String {
        if isNaN { return "NaN" }
        return isInfinite ? (self < 0 ? "-Inf" : "+Inf") : ShortestDecimal(self).plain
    }
}

extension ConfigValue {
    /// The Collector's name of the type.
    fileprivate var kindName: String {
        switch self {
        case .null: "Empty"
        case .bool: "Bool"
        case .int: "Int"
        case .double: "Double"
        case .string: "Str"
        case .list: "Slice"
        case .map: "Map"
        }
    }
}
