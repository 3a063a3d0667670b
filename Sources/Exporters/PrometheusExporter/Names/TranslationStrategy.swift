/// How OTLP names become Prometheus names: the values of `translation_strategy`.
package enum TranslationStrategy: String, Sendable, CaseIterable {
    /// Letters, digits, `_` and `:` only; units and `_total` or `_ratio` at the end. The default.
    case underscoreEscapingWithSuffixes = "UnderscoreEscapingWithSuffixes"
    /// Letters, digits, `_` and `:` only; nothing is added.
    case underscoreEscapingWithoutSuffixes = "UnderscoreEscapingWithoutSuffixes"
    /// Any UTF-8; units and `_total` or `_ratio` at the end.
    case noUTF8EscapingWithSuffixes = "NoUTF8EscapingWithSuffixes"
    /// Any UTF-8; nothing is added.
    case noTranslation = "NoTranslation"

    /// Whether a name may hold any UTF-8.
    var allowsUTF8: Bool {
        switch self {
        case .underscoreEscapingWithSuffixes, .underscoreEscapingWithoutSuffixes: false
        case .noUTF8EscapingWithSuffixes, .noTranslation: true
        }
    }
}
