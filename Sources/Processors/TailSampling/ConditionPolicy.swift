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

    /// A scope that is open, in its resource, for spans one after the other.
    private struct Opened {
        let resource: WireBytes
        let scope: WireBytes
        let entry: MessageID
        let frame: Frame
        var spans = 0
        var bytes = 0

        func isOf(_ resource: WireBytes, _ scope: WireBytes) -> Bool {
            // Lent from where they lie as long as a decision takes.
            unsafe resource.unsafeBytes.baseAddress == self.resource.unsafeBytes.baseAddress
                && scope.unsafeBytes.baseAddress == self.scope.unsafeBytes.baseAddress
        }
    }

    /// Spans, and their bytes, for which a scope is open: they are copied.
    private static let (spansMax, bytesMax) = (1_000, 1 << 20)

    private let config: ConditionConfig
    private let charged: ChargedEditor
    private var editor: RequestEditor { charged.editor }
    private var opened: Opened?

    init(_ config: ConditionConfig, _ ledger: MemoryLedger) {
        self.config = config
        // A decision that is due is not put off.
        charged = ChargedEditor(ledger: ledger, asks: false)
    }

    func decide(_ trace: TraceView, now: NIODeadline) throws(PolicyError) -> Verdict {
        defer {
            opened = nil
            charged.close()
        }
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
        var opened = open(resource, scope)
        opened.spans += 1
        opened.bytes += span.count
        self.opened = opened
        let (frame, entry) = (opened.frame, opened.entry)
        editor.setContent(entry, Field.ScopeEntry.entries, span)
        let item = editor.child(entry, Field.ScopeEntry.entries)
        defer { editor.close(item) }
        frame.show(item: item)
        frame.forgetLooks()
        if try holds(config.span, frame) { return true }
        guard !config.spanEvent.isEmpty else { return false }
        var index = 0
        for position in 0..<editor.fieldCount(item)
        where editor.number(item, at: position) == Field.Span.events {
            let event = editor.child(item, at: position)
            defer { editor.close(event) }
            frame.show(part: event, at: index)
            index += 1
            if try holds(config.spanEvent, frame) { return true }
        }
        return false
    }

    /// What has attributes of which many spans are asked is opened once for all of them: to find one among 20 000 for each of 20 000
    /// spans took 3 s.
    private func open(_ resource: WireBytes, _ scope: WireBytes) -> Opened {
        if let opened, opened.isOf(resource, scope), opened.spans < Self.spansMax,
            opened.bytes < Self.bytesMax
        {
            return opened
        }
        editor.open(.none)
        let resourceEntry = editor.appendChild(editor.root, Field.Request.resources)
        for field in resource.fields where field.isBytes {
            editor.append(resourceEntry, field.number, field.bytes)
        }
        let entry = editor.appendChild(resourceEntry, Field.ResourceEntry.scopes)
        for field in scope.fields where field.isBytes { editor.append(entry, field.number, field.bytes) }
        let frame = Frame(editor, itemBytes: scope.count + resource.count)
        let place = ResourcePlace(
            entry: resourceEntry, resource: editor.child(resourceEntry, Field.ResourceEntry.resource))
        frame.show(
            ScopePlace(resource: place, entry: entry, scope: editor.child(entry, Field.ScopeEntry.scope)))
        return Opened(resource: resource, scope: scope, entry: entry, frame: frame)
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
