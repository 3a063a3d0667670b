/// A text that must not be shown: headers, tokens, passwords.
package struct Secret: Sendable, Equatable, CustomStringConvertible {
    /// What printing shows instead.
    package static let placeholder = "[REDACTED]"

    /// The text itself.
    package let value: String

    package init(_ value: String) { self.value = value }

    package var description: String { Secret.placeholder }
}

/// A name with its value, from a section whose keys are free.
package struct ConfigPair: Sendable, Equatable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A name with a value that must not be shown.
package struct SecretPair: Sendable, Equatable {
    package let name: String
    package let value: Secret

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = Secret(value)
    }
}

extension ConfigSection {
    // MARK: Booleans and numbers

    /// `true` or `false`.
    package func bool(_ key: String, default value: Bool) -> Bool {
        note(key, default: value)
        return optionalBool(key) ?? value
    }

    /// `true` or `false`; nil when absent.
    package func optionalBool(_ key: String) -> Bool? {
        guard let entry = take(key) else { return nil }
        if case .bool(let value) = entry.value.content { return value }
        wrongType(entry, expected: "true or false", help: "write \(key): true or \(key): false")
        return nil
    }

    /// A whole number.
    package func int(_ key: String, default value: Int, in range: ClosedRange<Int> = 0...Int.max) -> Int {
        note(key, default: value)
        return optionalInt(key, in: range) ?? value
    }

    /// A whole number; nil when absent.
    package func optionalInt(_ key: String, in range: ClosedRange<Int> = 0...Int.max) -> Int? {
        guard let entry = take(key) else { return nil }
        let found: Int?
        switch entry.value.content {
        case .int(let number): found = number
        case .double(let number): found = Int(exactly: number)
        default: found = nil
        }
        guard let number = found else {
            wrongType(entry, expected: "a whole number", help: "write digits without quotes or a unit")
            return nil
        }
        guard range.contains(number) else {
            report(key, error: "must be \(Self.inWords(range)), found \(number)")
            return nil
        }
        return number
    }

    /// A number with or without a fraction.
    package func double(
        _ key: String, default value: Double,
        in range: ClosedRange<Double> = 0...Double.greatestFiniteMagnitude
    ) -> Double {
        guard let entry = take(key) else { return value }
        let number: Double
        switch entry.value.content {
        case .int(let whole): number = Double(whole)
        case .double(let found): number = found
        default:
            wrongType(entry, expected: "a number", help: "write digits without quotes or a unit")
            return value
        }
        guard range.contains(number) else {
            let limit =
                range.upperBound == .greatestFiniteMagnitude
                ? "at least \(range.lowerBound)" : "between \(range.lowerBound) and \(range.upperBound)"
            report(key, error: "must be \(limit), found \(entry.value.original)")
            return value
        }
        return number
    }

    private static func inWords(_ range: ClosedRange<Int>) -> String {
        if range.upperBound == .max { return "at least \(range.lowerBound)" }
        if range.lowerBound == .min { return "at most \(range.upperBound)" }
        return "between \(range.lowerBound) and \(range.upperBound)"
    }

    // MARK: Durations

    /// A duration such as `200ms` or `1m30s`; `0` and `0s` are zero, other bare numbers are an error.
    package func duration(
        _ key: String, default value: Duration, in range: ClosedRange<Duration> = .zero ... .longest
    ) -> Duration {
        note(key, default: value)
        return optionalDuration(key, in: range) ?? value
    }

    /// A duration; nil when absent.
    package func optionalDuration(
        _ key: String, in range: ClosedRange<Duration> = .zero ... .longest
    ) -> Duration? {
        guard let entry = take(key) else { return nil }
        guard let found = readDuration(entry) else { return nil }
        guard range.contains(found) else {
            if range.lowerBound == .zero, found < .zero {
                report(key, error: "must not be negative, found \(entry.value.original)")
            } else {
                let limit =
                    range.upperBound == .longest
                    ? "at least \(range.lowerBound.text)"
                    : "between \(range.lowerBound.text) and \(range.upperBound.text)"
                report(key, error: "must be \(limit), found \(entry.value.original)")
            }
            return nil
        }
        return found
    }

    private func readDuration(_ entry: ConfigMap.Entry) -> Duration? {
        switch entry.value.content {
        case .int(0): return .zero
        case .string(let text):
            if let found = parseDuration(text) { return found }
            wrongType(
                entry, expected: "a duration", help: "write a number with a unit, such as 200ms, 5s or 1m30s")
        case .int, .double:
            let number = entry.value.original
            wrongType(
                entry, expected: "a duration",
                help: "a duration needs a unit: write \(number)s for seconds or \(number)ms for milliseconds")
        default:
            wrongType(
                entry, expected: "a duration", help: "write a number with a unit, such as 200ms, 5s or 1m30s")
        }
        return nil
    }

    // MARK: Texts

    /// A text.
    package func string(_ key: String, default value: String) -> String {
        note(key, default: value)
        return optionalString(key) ?? value
    }

    /// A text; nil when absent. An empty text in quotes is an empty text.
    package func optionalString(_ key: String) -> String? {
        guard let entry = takeText(key) else { return nil }
        if let text = readText(entry.value, path(of: key)) { return text }
        wrongType(entry, expected: "a text", help: quotesHelp(entry.value))
        return nil
    }

    /// A text that must not be shown; nil when absent. Neither messages nor printing show it.
    package func secret(_ key: String) -> Secret? {
        guard let entry = takeText(key) else { return nil }
        paths.secrets.insert(path(of: key))
        if let text = readText(entry.value, path(of: key)) { return Secret(text) }
        secretNeedsText(path(of: key), entry.value, entry)
        return nil
    }

    /// One of the raw values of an enumeration.
    ///
    /// - Parameters:
    ///   - notYet: Values that the Collector has and this version does not: an error that says so.
    ///   - anyCase: Letters of either case are the same.
    package func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, default value: Choice, notYet: [String] = [], anyCase: Bool = false
    ) -> Choice where Choice.RawValue == String {
        let words = Choice.allCases.map(\.rawValue)
        guard let word = choice(key, of: words, default: value.rawValue, notYet: notYet, anyCase: anyCase)
        else { return value }
        return Choice(rawValue: word) ?? value
    }

    /// One of a set of words; nil when what is written is none of them, which is reported.
    package func choice(
        _ key: String, of words: [String], default value: String, notYet: [String] = [], anyCase: Bool = false
    ) -> String? {
        note(key, default: value)
        guard let written = optionalString(key) else { return value }
        let word = anyCase ? written.lowercased() : written
        if words.contains(word) { return word }
        let shown = alternatives(words.filter { !$0.isEmpty })
        if notYet.contains(word) {
            report(key, error: "\(quoted(word)) is not supported yet; use \(shown)")
        } else {
            let near = nearest(word, in: words)
            report(
                key, error: "unknown value \(quoted(word)); must be \(shown)",
                help: near.map { "did you mean \"\($0)\"?" })
        }
        return nil
    }

    /// The value as a text field takes it: a text, or what an expansion gave whatever its type; else nil.
    private func readText(_ value: ConfigNode, _ path: String) -> String? {
        if case .string(let text) = value.content { return text }
        guard value.isExpanded, !value.isNull || !value.original.isEmpty else { return nil }
        paths.texts.insert(path)
        return value.original
    }

    private func quotesHelp(_ value: ConfigNode) -> String? {
        value.isScalar ? "put it in quotes: \"\(value.original)\"" : nil
    }

    private func secretNeedsText(_ path: String, _ value: ConfigNode, _ entry: ConfigMap.Entry) {
        // The value is not named: it may be the secret in the wrong spelling.
        diagnostics.error(
            "expected a text", path: path, at: entry.keyOrigin,
            help: value.isScalar ? "put it in quotes" : nil, showsLine: false)
    }

    // MARK: Lists and free keys

    /// A list of texts; one text is a list separated by commas.
    package func stringList(_ key: String, default value: [String] = []) -> [String] {
        optionalStringList(key) ?? value
    }

    /// A list of texts; nil when absent. An empty text is an empty list.
    package func optionalStringList(_ key: String) -> [String]? {
        located(key)?.map(\.text)
    }

    /// A list of texts, each with its place, for messages that point at one of them; nil when absent.
    func located(_ key: String) -> [(text: String, origin: ConfigOrigin)]? {
        guard let entry = take(key) else { return nil }
        switch entry.value.content {
        case .list(let items):
            return items.enumerated().compactMap { index, item in
                if let text = readText(item, path(of: key) + "::\(index)") { return (text, item.origin) }
                diagnostics.error(
                    "expected a text, found \(item.inWords)", path: path(of: key) + "::\(index)",
                    at: item.origin, help: item.isNull ? nil : quotesHelp(item))
                return nil
            }
        case .map:
            wrongType(entry, expected: "a list")
            return nil
        default:
            guard let text = readText(entry.value, path(of: key)) else {
                wrongType(entry, expected: "a list", help: "write [\(entry.value.original)]")
                return nil
            }
            guard !text.isEmpty else { return [] }
            return text.split(separator: ",", omittingEmptySubsequences: false).map {
                (String($0), entry.value.origin)
            }
        }
    }

    /// A section whose keys are free and whose values are texts, in written order; empty when absent.
    package func stringMap(_ key: String) -> [ConfigPair] {
        freeKeys(key) { entry, path in
            if let text = readText(entry.value, path) { return ConfigPair(entry.key, text) }
            guard !entry.value.isNull else { return ConfigPair(entry.key, "") }
            diagnostics.error(
                "expected a text, found \(entry.value.inWords)", path: path,
                at: entry.value.isScalar ? entry.value.origin : entry.keyOrigin, help: quotesHelp(entry.value)
            )
            return nil
        }
    }

    /// Like `stringMap`, with values that must not be shown, such as the headers of an exporter.
    package func secretMap(_ key: String) -> [SecretPair] {
        freeKeys(key, orPairs: true) { entry, path in
            paths.secrets.insert(path)
            if let text = readText(entry.value, path) { return SecretPair(entry.key, text) }
            guard !entry.value.isNull else { return SecretPair(entry.key, "") }
            secretNeedsText(path, entry.value, entry)
            return nil
        }
    }

    /// A section whose keys are free and whose values are any scalars, as text; a null value is nil.
    package func scalarMap(_ key: String) -> [(name: String, value: String?)] {
        freeKeys(key) { entry, path in
            if entry.value.isNull, !entry.value.isExpanded || entry.value.original.isEmpty {
                return (entry.key, nil)
            }
            if entry.value.isScalar {
                return (entry.key, readText(entry.value, path) ?? entry.value.original)
            }
            diagnostics.error(
                "expected a text or a number, found \(entry.value.inWords)", path: path, at: entry.keyOrigin)
            return nil
        }
    }

    private func freeKeys<Value>(
        _ key: String, orPairs: Bool = false, _ read: (ConfigMap.Entry, _ path: String) -> Value?
    ) -> [Value] {
        guard let entry = take(key) else { return [] }
        if orPairs, case .list = entry.value.content { return pairs(key, read) }
        guard case .map(let map) = entry.value.content else {
            wrongType(entry, expected: "a section", help: "write \"name: value\" lines below it, indented")
            return []
        }
        return map.entries.compactMap { read($0, path(of: key) + "::" + $0.key) }
    }

    /// The same from a list of sections with the keys `name` and `value`.
    func pairs<Value>(_ key: String, _ read: (ConfigMap.Entry, _ path: String) -> Value?) -> [Value] {
        (sectionList(key) ?? []).compactMap { pair in
            pair.accept("value")
            guard let name = pair.optionalString("name"), !name.isEmpty else {
                pair.report(nil, error: "has no \"name\"", help: "write {name: …, value: …}")
                return nil
            }
            guard let written = pair.map.entry("value") else {
                pair.report(nil, error: "has no \"value\"", help: "write {name: …, value: …}")
                return nil
            }
            let entry = ConfigMap.Entry(key: name, keyOrigin: written.keyOrigin, value: written.value)
            return read(entry, pair.path(of: "value"))
        }
    }
}

extension Duration {
    /// The longest duration that configuration can express: 64 bits of nanoseconds.
    package static let longest = Duration.nanoseconds(Int64.max)
}
