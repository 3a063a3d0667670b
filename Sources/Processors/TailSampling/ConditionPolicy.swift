internal import NIOCore
internal import OTLP
internal import Pipeline
package import Statements
internal import TraceStore

/// Conditions of `ottl_condition`, parsed and checked.
package struct ConditionConfig: Sendable, Equatable {
    /// On spans; one is enough.
    package let span: [Condition]
    /// On span events; one is enough.
    package let spanEvent: [Condition]
    /// Whether a condition that cannot be evaluated makes the policy fail for the trace.
    package let propagatesErrors: Bool

    package static func == (left: ConditionConfig, right: ConditionConfig) -> Bool {
        left.span.map(\.text) == right.span.map(\.text)
            && left.spanEvent.map(\.text) == right.spanEvent.map(\.text)
            && left.propagatesErrors == right.propagatesErrors
    }
}

/// A condition that holds for a span or for an event of one: `ottl_condition`.
final class ConditionPolicy: SamplingPolicy {
    private enum End: Error {
        case found
        case failed(PolicyError)
    }

    private let config: ConditionConfig
    private let charged: ChargedEditor
    private var editor: RequestEditor { charged.editor }

    init(_ config: ConditionConfig, _ ledger: MemoryLedger) {
        self.config = config
        // A decision that is due is not put off.
        charged = ChargedEditor(ledger: ledger, asks: false)
    }

    func decide(_ trace: TraceView, now: NIODeadline) throws(PolicyError) -> Verdict {
        defer { charged.close() }
        do throws(End) {
            try trace.forEachSpan { resource, scope, span throws(End) in
                if try holds(for: span, resource, scope) { throw .found }
            }
            return .notSampled
        } catch {
            switch error {
            case .found: return .sampled
            case .failed(let failure): throw failure
            }
        }
    }

    private func holds(
        for span: WireBytes, _ resource: WireBytes, _ scope: WireBytes
    ) throws(End) -> Bool {
        editor.open(.none)
        let resourceEntry = editor.appendChild(editor.root, Field.Request.resources)
        for field in resource.fields where field.isBytes {
            editor.append(resourceEntry, field.number, field.bytes)
        }
        let scopeEntry = editor.appendChild(resourceEntry, Field.ResourceEntry.scopes)
        for field in scope.fields where field.isBytes { editor.append(scopeEntry, field.number, field.bytes) }
        editor.append(scopeEntry, Field.ScopeEntry.entries, span)
        let frame = Frame(editor, itemBytes: span.count + scope.count + resource.count)
        let place = ResourcePlace(
            entry: resourceEntry, resource: editor.child(resourceEntry, Field.ResourceEntry.resource))
        frame.show(
            ScopePlace(
                resource: place, entry: scopeEntry, scope: editor.child(scopeEntry, Field.ScopeEntry.scope)))
        let item = editor.child(scopeEntry, Field.ScopeEntry.entries)
        frame.show(item: item)
        if try holds(config.span, frame) { return true }
        guard !config.spanEvent.isEmpty else { return false }
        var index = 0
        for position in 0..<editor.fieldCount(item)
        where editor.number(item, at: position) == Field.Span.events {
            frame.show(part: editor.child(item, at: position), at: index)
            index += 1
            if try holds(config.spanEvent, frame) { return true }
        }
        return false
    }

    private func holds(_ conditions: [Condition], _ frame: Frame) throws(End) -> Bool {
        for condition in conditions {
            do throws(EvaluationError) {
                if try condition.holds(frame) { return true }
            } catch {
                if config.propagatesErrors { throw .failed(PolicyError(message: error.description)) }
            }
        }
        return false
    }
}
