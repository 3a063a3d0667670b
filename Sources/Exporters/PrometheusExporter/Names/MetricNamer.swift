/// Translates OTLP names into Prometheus names under one strategy.
///
/// A value, pure, for any thread. Allocates several times a name, so it is for the first sight of a name only.
/// What it gives is what the Collector gives, but where a comment says otherwise.
struct MetricNamer: Sendable {
    /// What a metric is, as far as its name shows it.
    enum Kind: Sendable, CaseIterable {
        /// A monotonic sum: `_total`.
        case counter
        /// A gauge, or a sum that goes down too: `_ratio` when its unit is `1`.
        case gauge
        /// A histogram or a summary.
        case other
    }

    private let strategy: TranslationStrategy
    /// The namespace with its underscore; empty when there is none.
    private let prefix: String

    /// A namer.
    ///
    /// - Parameter namespace: put before every name with an underscore; empty puts nothing. What a name must not
    ///   hold under this strategy becomes underscores here too, which the Collector leaves in.
    init(strategy: TranslationStrategy, namespace: String) {
        self.strategy = strategy
        let clean = strategy.allowsUTF8 ? namespace : Self.underscoring(namespace)
        prefix = clean.isEmpty ? "" : clean + "_"
    }

    /// The name of a metric; nil when nothing valid is left: no name, or nothing but underscores.
    func metricName(_ name: String, unit: String, kind: Kind) -> String? {
        guard !name.isEmpty else { return nil }
        let made =
            switch strategy {
            case .underscoreEscapingWithSuffixes: prefix + Self.joined(name, unit, kind)
            case .underscoreEscapingWithoutSuffixes: prefix + Self.underscoring(name)
            case .noUTF8EscapingWithSuffixes: Self.suffixed(prefix + name, unit, kind)
            case .noTranslation: prefix + name
            }
        if strategy.allowsUTF8 { return made }
        guard let first = made.utf8.first, !made.utf8.allSatisfy({ $0 == underscore }) else { return nil }
        return isDigitByte(first) ? "_" + made : made
    }

    /// The unit for `# UNIT`, empty when there is none.
    ///
    /// OpenMetrics wants the line only where the name of the family ends with an underscore and this.
    func unitName(_ unit: String) -> String {
        if unit == "1" { return "ratio" }
        let words = strategy.allowsUTF8 ? UnitWords(unit) : UnitWords(unit).escaped
        return words.per.isEmpty || words.main.isEmpty ? words.main + words.per : words.main + "_" + words.per
    }

    /// The name of a label; nil when nothing valid is left.
    ///
    /// Each character that a label must not hold becomes an underscore; runs of these stay. `__name__` would be another
    /// name for the metric; it becomes `key___name__`.
    func labelName(_ key: String) -> String? {
        guard !key.isEmpty else { return nil }
        if key == "__name__" { return "key___name__" }
        if strategy.allowsUTF8 { return key }
        var made: [UInt8] = []
        made.reserveCapacity(key.utf8.count)
        for scalar in key.unicodeScalars {
            let isKept = scalar.isASCII && scalar != ":" && isNameByte(UInt8(scalar.value))
            made.append(isKept ? UInt8(scalar.value) : underscore)
        }
        if made.allSatisfy({ $0 == underscore }) { return key == "_" ? key : nil }
        return (isDigitByte(made[0]) ? "key_" : "") + String(decoding: made, as: UTF8.self)
    }

    // MARK: - Strategies

    /// The tokens of the name, of the unit where they are not there yet, and of the kind, at the end whatever came
    /// before.
    private static func joined(_ name: String, _ unit: String, _ kind: Kind) -> String {
        var tokens = nameTokens(name)
        let words = UnitWords(unit).escaped
        for word in [words.main, words.per] where !word.isEmpty && !tokens.contains(Substring(word)) {
            tokens.append(Substring(word))
        }
        if let suffix = suffix(kind, unit) {
            tokens.removeAll { $0 == suffix }
            tokens.append(Substring(suffix))
        }
        return tokens.joined(separator: "_")
    }

    /// The name with what it does not end with already, in the order unit, per, kind.
    ///
    /// The Collector takes any letter before such an ending for its separator (`subtotal` loses its `b`); here the
    /// ending must be a word of its own.
    private static func suffixed(_ name: String, _ unit: String, _ kind: Kind) -> String {
        let words = UnitWords(unit)
        var made = name[...]
        var endings: [String] = []
        for ending in [suffix(kind, unit) ?? "", words.per] where !ending.isEmpty {
            made = dropping(ending, from: made)
            endings.insert("_" + ending, at: 0)
        }
        if !words.main.isEmpty, made != words.main, dropping(words.main, from: made) == made {
            endings.insert("_" + words.main, at: 0)
        }
        return made + endings.joined()
    }

    private static func suffix(_ kind: Kind, _ unit: String) -> String? {
        switch kind {
        case .counter: "total"
        case .gauge: unit == "1" ? "ratio" : nil
        case .other: nil
        }
    }

    /// The name without an ending and the separator before it; the name itself when it does not end so.
    private static func dropping(_ ending: String, from name: Substring) -> Substring {
        guard name.utf8.count > ending.utf8.count + 1,
            name.utf8.suffix(ending.utf8.count).elementsEqual(ending.utf8)
        else { return name }
        let rest = Substring(name.utf8.dropLast(ending.utf8.count))
        guard let separator = rest.unicodeScalars.last, !separator.properties.isAlphabetic,
            separator.properties.numericType == nil
        else { return name }
        return Substring(rest.unicodeScalars.dropLast())
    }

    /// Runs of what a name must not hold as one underscore each, none at an end; underscores stay as they are.
    private static func underscoring(_ text: String) -> String {
        text.utf8.split { !isNameByte($0) && $0 != underscore }.map { String(Substring($0)) }.joined(
            separator: "_")
    }
}

private let underscore = UInt8(ascii: "_")
