/// Divides requests between destinations, each item by its key.
///
/// One walk over a request notes runs of items, scopes and resources that go the same way; then each destination's part
/// is written: the runs as they are, around them the envelopes (resource, scope, schema URL, fields unknown to the
/// schema) once more. A scope or resource whose items all go one way is copied whole. Every item comes out once, in
/// order. Of a request that is divided, entries without items are left out.
///
/// Precondition: `summarize` accepted the bytes (of others, the walk stops early). Kept between requests for the memory
/// that it has; not for use by two threads at a time.
@safe
package struct RequestRouter {
    /// Neighbours that go the same way.
    private struct Run {
        /// 0: entries of resources; 1: entries of scopes, in `parent`; 2: items, in `parent`.
        var level: UInt8
        /// Index of the resource's or scope's envelope.
        var parent: Int
        var start: Int
        var end: Int
        var items: Int
    }

    /// A message around items, less what leads to them.
    private struct Envelope {
        /// Of a scope: its resource's envelope.
        var parent: Int
        /// Of its ranges.
        var ranges: Range<Int>
        var bytes: Int
    }

    /// Elements for which memory is kept between requests.
    private static let keptMax = 1 << 14

    let key: RoutingKey
    private let shape: RequestShape
    let traceIDField: UInt32
    private var runs: [[Run]]
    private var resources: [Envelope] = []
    private var scopes: [Envelope] = []
    private var ranges: [Range<Int>] = []
    /// The request's own fields.
    private var own: [Range<Int>] = []
    private var ownBytes = 0
    /// Contents' lengths of the messages that `write` opens, in order.
    private var lengths: [Int] = []
    private var lastTrace: (low: UInt64, high: UInt64) = (0, 0)
    private var lastDestination = 0

    /// - Parameter destinations: at least 1.
    package init(_ signal: Signal, key: RoutingKey, destinations: Int) {
        self.key = signal == .metrics && key == .traceID ? .service : key
        shape = RequestShape(signal)
        traceIDField = signal == .logs ? Field.LogRecord.traceID : Field.Span.traceID
        runs = Array(repeating: [], count: destinations)
    }

    /// Walks a request.
    /// - Parameter destination: the destination of a key's hash, below `destinations`; always the same for the same.
    /// - Returns: the one destination to which the request goes whole; nil when it must be divided: see `write`.
    package mutating func route(
        _ bytes: UnsafeRawBufferPointer, destination: (UInt64) -> Int
    ) -> Int? {
        begin()
        let message = unsafe WireBytes(bytes)
        for field in message.fields {
            guard shape.isChild(field, level: 0) else {
                if own.last?.upperBound == field.start {
                    own[own.count - 1] = own[own.count - 1].lowerBound..<field.end
                } else {
                    own.append(field.start..<field.end)
                }
                ownBytes += field.end - field.start
                continue
            }
            guard key.keepsResources else {
                walk(message, field, destination)
                continue
            }
            let items = shape.countItems(field.bytes, level: 1, limit: .max - 1)
            let hash = key == .service ? Self.serviceHash(field.bytes) : Self.attributesHash(field.bytes)
            if items > 0 {
                append(
                    Run(level: 0, parent: 0, start: field.start, end: field.end, items: items),
                    destination(hash))
            }
        }
        var only: Int?
        for (index, runs) in runs.enumerated() where !runs.isEmpty {
            if only != nil { return nil }
            only = index
        }
        return only ?? destination(RoutingHash.of([]))
    }

    private mutating func begin() {
        // What one huge request has needed is not kept for the others.
        func keeps(_ capacity: Int) -> Bool { capacity <= Self.keptMax }
        for index in runs.indices { runs[index].removeAll(keepingCapacity: keeps(runs[index].capacity)) }
        resources.removeAll(keepingCapacity: keeps(resources.capacity))
        scopes.removeAll(keepingCapacity: keeps(scopes.capacity))
        ranges.removeAll(keepingCapacity: keeps(ranges.capacity))
        own.removeAll(keepingCapacity: true)
        ownBytes = 0
        // The last destination is another function's.
        lastTrace = (0, 0)
    }

    /// Precondition: no other envelope has got a range since this one got its first.
    private mutating func add(_ range: Range<Int>, to envelope: inout Envelope) {
        envelope.bytes += range.count
        // Fields of two bytes must not take sixteen each.
        if !envelope.ranges.isEmpty, let last = ranges.last, last.upperBound == range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            return
        }
        ranges.append(range)
        envelope.ranges = envelope.ranges.lowerBound..<ranges.count
    }

    private mutating func append(_ run: Run, _ place: Int) {
        let last = runs[place].count - 1
        if last >= 0, runs[place][last].end == run.start, runs[place][last].level == run.level,
            runs[place][last].parent == run.parent
        {
            runs[place][last].end = run.end
            runs[place][last].items += run.items
        } else {
            runs[place].append(run)
        }
    }

    // MARK: - By trace or metric

    private mutating func walk(_ message: WireBytes, _ entry: WireField, _ destination: (UInt64) -> Int) {
        let resource = resources.count
        var envelope = Envelope(parent: 0, ranges: ranges.count..<ranges.count, bytes: 0)
        for field in message.fields(entry.contentStart..<entry.end) where !shape.isChild(field, level: 1) {
            add(field.start..<field.end, to: &envelope)
        }
        resources.append(envelope)
        var without: Int?
        var whole = Whole()
        for field in message.fields(entry.contentStart..<entry.end) where shape.isChild(field, level: 1) {
            walkScope(message, field, resource, &without, &whole, entry, destination)
        }
        if whole.isDivided { return }
        // It goes whole, or, without items, nowhere.
        resources.removeLast()
        ranges.removeSubrange(envelope.ranges.lowerBound...)
        guard let place = whole.place else { return }
        // All that was noted of it is one stretch of the request.
        while let last = runs[place].last, last.level > 0, last.start >= entry.start {
            runs[place].removeLast()
        }
        append(Run(level: 0, parent: 0, start: entry.start, end: entry.end, items: whole.items), place)
    }

    /// Whether everything so far goes one way.
    private struct Whole {
        var place: Int?
        var items = 0
        var isDivided = false

        mutating func add(_ items: Int, _ place: Int) {
            self.items += items
            if !isDivided, self.place == nil || self.place == place {
                self.place = place
            } else {
                isDivided = true
                self.place = nil
            }
        }
    }

    private mutating func walkScope(
        _ message: WireBytes, _ entry: WireField, _ resource: Int, _ without: inout Int?,
        _ whole: inout Whole,
        _ resourceEntry: WireField, _ destination: (UInt64) -> Int
    ) {
        let scope = scopes.count
        var envelope = Envelope(parent: resource, ranges: ranges.count..<ranges.count, bytes: 0)
        scopes.append(envelope)
        var own = Whole()
        for field in message.fields(entry.contentStart..<entry.end) {
            guard shape.isChild(field, level: 2) else {
                add(field.start..<field.end, to: &envelope)
                continue
            }
            let place: Int
            var items = 1
            if key == .metric || key == .stream {
                items = shape.countItems(field.bytes, level: 3, limit: .max - 1)
                guard items > 0 else { continue }
                place = destination(metricHash(field.bytes, resourceEntry, &without))
            } else if let trace = traceID(field.bytes) {
                if trace != lastTrace {
                    lastTrace = trace
                    lastDestination = destination(RoutingHash.of(trace.low, trace.high))
                }
                place = lastDestination
            } else {
                place = without ?? destination(Self.resourceHash(resourceEntry.bytes))
                without = place
            }
            own.add(items, place)
            append(Run(level: 2, parent: scope, start: field.start, end: field.end, items: items), place)
        }
        guard !own.isDivided else {
            scopes[scope] = envelope
            whole.isDivided = true
            whole.place = nil
            return
        }
        scopes.removeLast()
        ranges.removeSubrange(envelope.ranges.lowerBound...)
        if let place = own.place {
            while let last = runs[place].last, last.level == 2, last.parent == scope {
                runs[place].removeLast()
            }
            append(
                Run(level: 1, parent: resource, start: entry.start, end: entry.end, items: own.items), place)
            whole.add(own.items, place)
        }
    }

    // MARK: - Writing

    /// What the last request that was walked has for a destination; no items: nothing is to be written.
    /// - Returns: items and bytes.
    package mutating func measure(_ destination: Int) -> (items: Int, bytes: Int) {
        lengths.removeAll(keepingCapacity: true)
        var items = 0
        var total = ownBytes
        var resource = Opened()
        var scope = Opened()
        for run in runs[destination] {
            items += run.items
            let entry = run.level == 0 ? -1 : run.level == 1 ? run.parent : scopes[run.parent].parent
            if scope.envelope >= 0, run.level != 2 || run.parent != scope.envelope {
                resource.count += close(&scope)
            }
            if resource.envelope >= 0, entry != resource.envelope { total += close(&resource) }
            if entry >= 0, resource.envelope < 0 { open(&resource, entry, resources[entry].bytes) }
            if run.level == 2, scope.envelope < 0 { open(&scope, run.parent, scopes[run.parent].bytes) }
            switch run.level {
            case 0: total += run.end - run.start
            case 1: resource.count += run.end - run.start
            default: scope.count += run.end - run.start
            }
        }
        if scope.envelope >= 0 { resource.count += close(&scope) }
        if resource.envelope >= 0 { total += close(&resource) }
        return (items, total)
    }

    /// A message whose length is being found.
    private struct Opened {
        var envelope = -1
        var count = 0
        /// In `lengths`.
        var index = 0
    }

    private mutating func open(_ message: inout Opened, _ envelope: Int, _ bytes: Int) {
        message = Opened(envelope: envelope, count: bytes, index: lengths.count)
        lengths.append(0)
    }

    /// - Returns: the bytes of the message with its header.
    private mutating func close(_ message: inout Opened) -> Int {
        lengths[message.index] = message.count
        let whole = 1 + Self.varintCount(message.count) + message.count
        message = Opened()
        return whole
    }

    private static func varintCount(_ value: Int) -> Int {
        (70 - (value | 1).leadingZeroBitCount) / 7
    }

    /// Writes what `measure`, called just before, has measured.
    ///
    /// - bytes: the request that was walked.
    /// - target: exactly as many bytes as were measured.
    package func write(
        _ destination: Int, of bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer
    ) {
        var writer = unsafe PartWriter(source: bytes, target: target)
        for range in own { writer.copy(range) }
        var resource = -1
        var scope = -1
        var next = 0
        for run in runs[destination] {
            let entry = run.level == 0 ? -1 : run.level == 1 ? run.parent : scopes[run.parent].parent
            if entry != resource {
                resource = entry
                scope = -1
                if entry >= 0 { header(&writer, Field.Request.resources, &next, resources[entry]) }
            }
            if run.level != 2 {
                scope = -1
            } else if scope != run.parent {
                scope = run.parent
                header(&writer, Field.ResourceEntry.scopes, &next, scopes[scope])
            }
            writer.copy(run.start..<run.end)
        }
        precondition(writer.isFull, "what was measured is what was written")
    }

    private func header(
        _ writer: inout PartWriter, _ number: UInt32, _ next: inout Int, _ envelope: Envelope
    ) {
        writer.header(number, lengths[next])
        next += 1
        for range in ranges[envelope.ranges] { writer.copy(range) }
    }
}

/// Copies ranges of a request, and writes headers between them.
@safe
private struct PartWriter {
    private let source: UnsafeRawBufferPointer
    private let target: UnsafeMutableRawBufferPointer
    private var position = 0

    init(source: UnsafeRawBufferPointer, target: UnsafeMutableRawBufferPointer) {
        unsafe self.source = source
        unsafe self.target = target
    }

    var isFull: Bool { unsafe position == target.count }

    mutating func copy(_ range: Range<Int>) {
        let room = unsafe target.count - position
        precondition(range.count <= room, "the part is larger than measured")
        // SAFETY: the slices check their bounds, and the room was checked.
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[position..<position + range.count])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[range]))
        position += range.count
    }

    /// Tag, of a field number below 16, and length.
    mutating func header(_ number: UInt32, _ count: Int) {
        put(UInt8(truncatingIfNeeded: number << 3 | 2))
        var rest = count
        while rest >= 0x80 {
            put(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        put(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func put(_ byte: UInt8) {
        unsafe target[position] = byte
        position += 1
    }
}
