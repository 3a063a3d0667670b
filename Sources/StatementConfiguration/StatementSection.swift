package import Configuration
package import OTLP
package import Statements

// What the sections of all components that take statements or conditions have in common.

extension ConfigSection {
    /// `ignore`, `silent` or `propagate`, in upper or lower case.
    package func errorMode(_ key: String, default mode: StatementGroup.ErrorMode) -> StatementGroup.ErrorMode {
        note(key, default: mode.rawValue)
        guard let text = optionalString(key) else { return mode }
        if let found = StatementGroup.ErrorMode(rawValue: text.lowercased()) { return found }
        report(key, error: "unknown error mode \(text)", help: "write ignore, silent or propagate")
        return mode
    }

    /// The name of a context of a signal; nil when absent or wrong, which is reported.
    package func statementContext(_ key: String, _ signal: Signal) -> ContextKind? {
        guard let text = optionalString(key), !text.isEmpty else { return nil }
        let known = ContextKind.of(signal)
        if let context = ContextKind(rawValue: text.lowercased()), known.contains(context) { return context }
        report(
            key, error: "unknown context \(text)",
            help: "contexts of \(signal.name): " + known.map(\.rawValue).joined(separator: ", "))
        return nil
    }

    /// Reports an error in a statement or condition at its place inside the text.
    package func report(_ error: StatementError, of kind: String, in text: LocatedText) {
        diagnostics.error(
            "unable to parse OTTL \(kind) \"\(text.text)\": \(error.message)", path: text.path,
            at: text.origin(at: error.offset), help: error.help)
    }
}
