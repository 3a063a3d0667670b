internal import Logging
internal import OTLP
internal import Synchronization

/// Errors that statements or conditions raise on items: each is counted, and logged once a second at most for each text.
/// Any thread.
package final class StatementErrors: Sendable {
    private static let logIntervalNanoseconds: Int64 = 1_000_000_000

    private final class Shown: Sendable {
        let text: String
        let counter: Counter
        /// When it was logged last.
        let loggedAt = Atomic<Int64>(.min / 2)

        init(_ text: String, _ counter: Counter) { (self.text, self.counter) = (text, counter) }
    }

    private let shown: [Shown]
    private let logger: Logger

    /// - Parameter texts: as written; those that are equal share a counter.
    package init(_ texts: [String], _ context: ComponentContext) {
        shown = texts.map { text in
            Shown(
                text,
                context.registry.counter(
                    "sluice_ottl_errors", help: "Errors that statements or conditions raised on items.",
                    labels: [
                        "component": context.name, "otel_signal": context.signal.name, "statement": text,
                    ]))
        }
        logger = context.logger
    }

    /// Counts an error.
    /// - Parameters:
    ///   - index: of the text.
    ///   - message: what happened, such as `failed to execute statement`; nil for no log line.
    package func record(_ index: Int, _ error: @autoclosure () -> String, message: String?) {
        let entry = shown[index]
        entry.counter.add()
        guard let message else { return }
        let now = SystemClock.monotonicNanoseconds()
        let last = entry.loggedAt.load(ordering: .relaxed)
        guard now - last >= Self.logIntervalNanoseconds,
            entry.loggedAt.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
        else { return }
        logger.warning(
            "\(message)", metadata: ["error": "\(error())", "statement": "\(entry.text)"])
    }
}
