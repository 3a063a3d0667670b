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
    private let envelopes: EnvelopeTable
    /// The scope at hand.
    private var scope: GroupedScope
    private var resourceFields: [Range<Int>] = []

    /// - Parameters:
    ///   - findsRoots: whether `SpanGroup.hasRoot` is wanted.
    ///   - summarizes: whether `TraceView.summary` is.
    package init(_ envelopes: EnvelopeTable, findsRoots: Bool, summarizes: Bool = false) {
        self.envelopes = envelopes
        scope = GroupedScope(findsRoots: findsRoots, summarizes: summarizes)
    }

    /// Walks a request and gives each group of it, scope by scope, in the order of their first spans.
    ///
    /// - Parameters:
    ///   - before: gets all groups of a scope before `body` gets the first of them.
    ///   - body: gets the group and the entry of its scope, which is borrowed for the call.
    /// - Returns: the spans of the request.
    package func walk(
        _ request: WireBytes, before: ([SpanGroup]) -> Void = { _ in },
        _ body: (SpanGroup, EnvelopeTable.ID) -> Void
    ) -> Int {
        var spans = 0
        for resource in request.fields where Self.isResource(resource) {
            resourceFields.removeAll(keepingCapacity: true)
            let content = resource.contentStart..<resource.end
            for field in request.fields(content) where !Self.isChild(field) {
                resourceFields.append(field.start..<field.end)
            }
            let owner = envelopes.acquire(resourceFields, of: request, parent: nil)
            for scope in request.fields(content) where Self.isChild(scope) {
                spans += walk(scope, of: request, owner, before, body)
            }
            envelopes.release(owner)
        }
        return spans
    }

    private static func isResource(_ field: WireField) -> Bool {
        field.isBytes && field.number == Field.Request.resources
    }

    /// Scopes of a resource and spans of a scope have the same number.
    fileprivate static func isChild(_ field: WireField) -> Bool {
        field.isBytes && field.number == Field.ResourceEntry.scopes
    }

    private func walk(
        _ field: WireField, of request: WireBytes, _ resource: EnvelopeTable.ID,
        _ before: ([SpanGroup]) -> Void, _ body: (SpanGroup, EnvelopeTable.ID) -> Void
    ) -> Int {
        let spans = scope.read(request, field.contentStart..<field.end)
        guard spans > 0 else { return 0 }
        let envelope = envelopes.acquire(scope.others, of: request, parent: resource)
        before(scope.groups)
        for group in scope.groups { body(group, envelope) }
        envelopes.release(envelope)
        return spans
    }

    /// Copies the fields of a group that `walk` gives at this moment.
    func copy(_ group: SpanGroup, of request: WireBytes, into target: UnsafeMutableRawBufferPointer) {
        unsafe scope.copy(group, of: request, into: target)
    }
}

/// The spans of one scope, sorted by trace. A structure: what is stored in a class is checked for overlapping changes at
/// each step of each span.
private struct GroupedScope: ~Copyable {
    /// Spans of a group that stand one behind the other.
    private struct Run {
        var range: Range<Int>
        var next = -1
    }

    private let findsRoots: Bool
    private let summarizes: Bool
    private var reader: SpanReader
    private(set) var groups: [SpanGroup] = []
    /// Fields that are no spans.
    private(set) var others: [Range<Int>] = []
    private var runs: [Run] = []
    /// Where groups are, by their traces, when there are many.
    private var numbers = HashIndex()

    /// Groups among which one is looked for one by one.
    private static let fewGroups = 8

    init(findsRoots: Bool, summarizes: Bool) {
        self.findsRoots = findsRoots
        self.summarizes = summarizes
        // All that is asked of a span is read at once, while its bytes are at hand.
        reader = findsRoots || summarizes ? SpanReader() : .ofTraceIDs()
    }

    /// Sorts the spans of a scope, which is a part of the request. Returns how many there are.
    mutating func read(_ request: WireBytes, _ content: Range<Int>) -> Int {
        groups.removeAll(keepingCapacity: true)
        runs.removeAll(keepingCapacity: true)
        numbers.removeAll()
        others.removeAll(keepingCapacity: true)
        var spans = 0
        var last = -1
        let start = content.lowerBound
        reader.begin(request.part(content))
        while true {
            if reader.nextBeforeOther() {
                spans += reader.count
                var index = 0
                while index < reader.count {
                    let end = reader.endOfTrace(from: index)
                    last = take(index..<end, start, last)
                    index = end
                }
            } else if let other = reader.passOther() {
                others.append(start + other.lowerBound..<start + other.upperBound)
            } else {
                return spans
            }
        }
    }

    /// Adds spans of one trace, which stand one behind the other, to their group, which is returned; `last` is that of the span
    /// before.
    private mutating func take(_ indices: Range<Int>, _ start: Int, _ last: Int) -> Int {
        let first = reader.range(indices.lowerBound)
        let end = reader.range(indices.upperBound - 1).upperBound
        let range = start + first.lowerBound..<start + end
        let trace = TraceID(reader.traceID(indices.lowerBound))
        let group = last >= 0 && groups[last].trace == trace ? last : number(of: trace, at: range.lowerBound)
        add(range, indices.count, to: group)
        guard findsRoots || summarizes else { return group }
        var summary = groups[group].summary
        for index in indices {
            let span = reader.summary(index)
            if !span.hasParent { groups[group].hasRoot = true }
            summary.add(span)
        }
        groups[group].summary = summary
        return group
    }

    private mutating func number(of trace: TraceID, at start: Int) -> Int {
        if groups.count <= Self.fewGroups {
            for index in groups.indices where groups[index].trace == trace { return index }
        } else {
            if numbers.count == 0 {
                for index in groups.indices {
                    numbers.set(groups[index].trace.low, groups[index].trace.high, to: Int32(index))
                }
            }
            let known = numbers.find(trace.low, trace.high)
            if known >= 0 { return Int(known) }
            numbers.set(trace.low, trace.high, to: Int32(groups.count))
        }
        runs.append(Run(range: start..<start))
        groups.append(
            SpanGroup(
                trace: trace, spans: 0, bytes: 0, hasRoot: false, firstRun: runs.count - 1,
                lastRun: runs.count - 1))
        return groups.count - 1
    }

    private mutating func add(_ field: Range<Int>, _ spans: Int, to index: Int) {
        groups[index].spans += spans
        groups[index].bytes += field.count
        let run = groups[index].lastRun
        if runs[run].range.upperBound == field.lowerBound {
            runs[run].range = runs[run].range.lowerBound..<field.upperBound
        } else {
            runs[run].next = runs.count
            groups[index].lastRun = runs.count
            runs.append(Run(range: field))
        }
    }

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
