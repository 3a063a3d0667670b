package import OTLP

/// Spans of one trace that stand in one scope of a request.
package struct SpanGroup {
    package let trace: TraceID
    package fileprivate(set) var spans: Int
    /// Of their fields, tags included.
    package fileprivate(set) var bytes: Int
    /// Only made on demand.
    fileprivate(set) var summary = SpanSummary()
    /// Whether one of them has no parent. Only looked for on demand.
    package fileprivate(set) var hasRoot: Bool
    fileprivate let firstRun: Int
    fileprivate var lastRun: Int
}

/// Sorts the spans of requests by trace. Kept between requests for the memory that it has. One thread.
package final class TraceGrouper {
    /// Spans of a group that stand one behind the other.
    private struct Run {
        var range: Range<Int>
        var next = -1
    }

    private let envelopes: EnvelopeTable
    private let findsRoots: Bool
    private let summarizes: Bool
    private var groups: [SpanGroup] = []
    private var runs: [Run] = []
    private var numbers: [TraceID: Int] = [:]
    private var resourceFields: [Range<Int>] = []
    private var scopeFields: [Range<Int>] = []

    /// Groups among which one is looked for one by one.
    private static let fewGroups = 8

    /// - Parameters:
    ///   - findsRoots: whether `SpanGroup.hasRoot` is wanted.
    ///   - summarizes: whether `TraceView.summary` is.
    package init(_ envelopes: EnvelopeTable, findsRoots: Bool, summarizes: Bool = false) {
        self.envelopes = envelopes
        self.summarizes = summarizes
        self.findsRoots = findsRoots
    }

    /// Walks a request and gives each group of it, scope by scope, in the order of their first spans.
    ///
    /// - Parameter body: gets the group and the entry of its scope, which is borrowed for the call.
    /// - Returns: the spans of the request.
    package func walk(_ request: WireBytes, _ body: (SpanGroup, EnvelopeTable.ID) -> Void) -> Int {
        var spans = 0
        for resource in request.fields where Self.isResource(resource) {
            resourceFields.removeAll(keepingCapacity: true)
            let content = resource.contentStart..<resource.end
            for field in request.fields(content) where !Self.isChild(field) {
                resourceFields.append(field.start..<field.end)
            }
            let owner = envelopes.acquire(resourceFields, of: request, parent: nil)
            for scope in request.fields(content) where Self.isChild(scope) {
                spans += walk(scope, of: request, owner, body)
            }
            envelopes.release(owner)
        }
        return spans
    }

    private static func isResource(_ field: WireField) -> Bool {
        field.isBytes && field.number == Field.Request.resources
    }

    /// Scopes of a resource and spans of a scope have the same number.
    private static func isChild(_ field: WireField) -> Bool {
        field.isBytes && field.number == Field.ResourceEntry.scopes
    }

    private func walk(
        _ scope: WireField, of request: WireBytes, _ resource: EnvelopeTable.ID,
        _ body: (SpanGroup, EnvelopeTable.ID) -> Void
    ) -> Int {
        groups.removeAll(keepingCapacity: true)
        runs.removeAll(keepingCapacity: true)
        numbers.removeAll(keepingCapacity: true)
        scopeFields.removeAll(keepingCapacity: true)
        var spans = 0
        var last = -1
        for field in request.fields(scope.contentStart..<scope.end) {
            guard Self.isChild(field) else {
                scopeFields.append(field.start..<field.end)
                continue
            }
            spans += 1
            let (trace, isRoot) = identify(field.bytes)
            if last < 0 || groups[last].trace != trace { last = number(of: trace, at: field.start) }
            add(field, isRoot, to: last)
            if summarizes { groups[last].summary.add(field.bytes) }
        }
        guard spans > 0 else { return 0 }
        let envelope = envelopes.acquire(scopeFields, of: request, parent: resource)
        for group in groups { body(group, envelope) }
        envelopes.release(envelope)
        return spans
    }

    private func identify(_ span: WireBytes) -> (TraceID, isRoot: Bool) {
        var trace = TraceID(low: 0, high: 0)
        var isRoot = findsRoots
        for field in span.fields {
            if field.number == Field.Span.traceID {
                trace = TraceID(field.bytes)
                if !findsRoots { break }
            } else if field.number == Field.Span.parentSpanID {
                isRoot = field.bytes.count == 0
            }
        }
        return (trace, isRoot)
    }

    private func number(of trace: TraceID, at start: Int) -> Int {
        if groups.count <= Self.fewGroups {
            for index in groups.indices where groups[index].trace == trace { return index }
        } else {
            if numbers.isEmpty { for index in groups.indices { numbers[groups[index].trace] = index } }
            if let index = numbers[trace] { return index }
            numbers[trace] = groups.count
        }
        runs.append(Run(range: start..<start))
        groups.append(
            SpanGroup(
                trace: trace, spans: 0, bytes: 0, hasRoot: false, firstRun: runs.count - 1,
                lastRun: runs.count - 1))
        return groups.count - 1
    }

    private func add(_ field: WireField, _ isRoot: Bool, to index: Int) {
        groups[index].spans += 1
        groups[index].bytes += field.end - field.start
        if isRoot { groups[index].hasRoot = true }
        let run = groups[index].lastRun
        if runs[run].range.upperBound == field.start {
            runs[run].range = runs[run].range.lowerBound..<field.end
        } else {
            runs[run].next = runs.count
            groups[index].lastRun = runs.count
            runs.append(Run(range: field.start..<field.end))
        }
    }

    /// Copies the fields of a group that `walk` gives at this moment.
    func copy(_ group: SpanGroup, of request: WireBytes, into target: UnsafeMutableRawBufferPointer) {
        var position = 0
        var run = group.firstRun
        while run >= 0 {
            let range = runs[run].range
            // SAFETY: the target has the group's bytes, which are those of its runs.
            unsafe UnsafeMutableRawBufferPointer(rebasing: target[position...]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: request.unsafeBytes[range]))
            position += range.count
            run = runs[run].next
        }
        precondition(position == group.bytes, "a group has the bytes of its runs")
    }
}
