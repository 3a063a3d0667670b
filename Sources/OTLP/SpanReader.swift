internal import COTLP

/// Reads the spans of a scope, some at a time and each in one go. Kept between requests for the memory that it has. One
/// thread.
///
///     spans.begin(scope)
///     while spans.next() { for index in 0..<spans.count { … spans[index] … } }
///
/// What it gives borrows the scope's bytes, as `WireBytes`.
@safe
public struct SpanReader: ~Copyable {
    /// Spans that are read at a time.
    public static let most = 32

    private let spans: UnsafeMutablePointer<cotlp_span>
    private let starts: UnsafeMutablePointer<UnsafePointer<UInt8>>
    private let hashes: UnsafeMutablePointer<cotlp_hash>
    private let kinds: UInt32
    private var scope = WireBytes.none
    /// Where the walk is in the scope.
    private var position = 0
    /// The spans at hand.
    public private(set) var count = 0

    // SAFETY (all below): the arrays have room for `most`, of which the first `count` are initialized by the C function, which
    // reads inside the scope's bytes only.

    /// Reads spans of any kind.
    public init() { self.init(mask: UInt32(COTLP_ANY_KIND)) }

    /// Reads spans of these kinds, below 32; others are passed over.
    public init(kinds: ClosedRange<UInt64>) {
        self.init(mask: kinds.reduce(0) { $0 | 1 << UInt32($1) })
    }

    /// Reads trace ids, and what else comes for nothing.
    public static func ofTraceIDs() -> SpanReader { SpanReader(mask: UInt32(COTLP_TRACE_ID)) }

    private init(mask: UInt32) {
        kinds = mask
        unsafe spans = .allocate(capacity: Self.most)
        unsafe starts = .allocate(capacity: Self.most)
        unsafe hashes = .allocate(capacity: Self.most)
    }

    deinit {
        unsafe spans.deallocate()
        unsafe starts.deallocate()
        unsafe hashes.deallocate()
    }

    /// Goes to the start of a `ScopeSpans`.
    public mutating func begin(_ scope: WireBytes) {
        self.scope = scope
        position = 0
        count = 0
    }

    /// Reads the next spans, past whatever stands before them; false at the end.
    public mutating func next() -> Bool {
        while !nextBeforeOther() {
            guard passOther() != nil else { return false }
        }
        return true
    }

    /// Reads the next spans that stand one behind the other; false when there is another field, or the end.
    public mutating func nextBeforeOther() -> Bool {
        var walk = unsafe walk
        count = unsafe cotlp_spans_next(&walk, kinds, spans, starts, Self.most)
        unsafe move(to: walk)
        return count > 0
    }

    /// Passes over a field: where it is in the scope. Nil at the end, and when the field is malformed, which ends the walk.
    public mutating func passOther() -> Range<Int>? {
        let start = position
        var walk = unsafe walk
        let passed = unsafe cotlp_field_pass(&walk)
        unsafe move(to: walk)
        return passed != 0 ? start..<position : nil
    }

    private var walk: cotlp_points {
        let base = unsafe scope.bytePointer
        return unsafe cotlp_points(next: base + position, end: base + scope.count)
    }

    private mutating func move(to walk: cotlp_points) {
        position = unsafe walk.next - scope.bytePointer
    }

    /// A span at hand.
    public subscript(index: Int) -> SpanFields {
        precondition(index >= 0 && index < count, "there is no such span")
        return unsafe SpanFields(spans[index])
    }

    /// Where its field is in the scope, with its tag.
    public func range(_ index: Int) -> Range<Int> {
        precondition(index >= 0 && index < count, "there is no such span")
        let base = unsafe scope.bytePointer
        let whole = unsafe spans[index].whole
        return unsafe starts[index] - base..<whole.bytes.unsafelyUnwrapped - base + whole.count
    }

    /// How long it took, in nanoseconds, as `SpanFields.duration`.
    public func duration(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count, "there is no such span")
        let (start, end) = unsafe (spans[index].start_time, spans[index].end_time)
        return end > start ? end &- start : 0
    }

    /// Its kind, as `SpanFields.kind`.
    public func kind(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count, "there is no such span")
        return unsafe spans[index].kind
    }

    /// Its status, as `SpanFields.status`.
    public func status(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count, "there is no such span")
        return unsafe spans[index].status
    }

    /// Its attributes, as `SpanFields.attributes`.
    public func attributes(_ index: Int) -> WireBytes {
        precondition(index >= 0 && index < count, "there is no such span")
        return unsafe WireBytes(spans[index].attributes)
    }

    /// Its trace's id, as `SpanFields.traceID`.
    public func traceID(_ index: Int) -> WireBytes {
        precondition(index >= 0 && index < count, "there is no such span")
        return unsafe WireBytes(spans[index].trace_id)
    }

    /// Behind the spans of one trace that stand one behind the other, from this one on.
    public func endOfTrace(from index: Int) -> Int {
        let trace = traceID(index)
        var end = index + 1
        while end < count, traceID(end).isEqual(to: trace) { end += 1 }
        return end
    }

    /// What `summary` gives of a span.
    public struct Summary: BitwiseCopyable, Sendable {
        /// As those of `SpanFields`.
        public let startTime: UInt64, endTime: UInt64, status: UInt64
        /// Whether it names a parent, if only zeros.
        public let hasParent: Bool
    }

    /// A few numbers of a span.
    public func summary(_ index: Int) -> Summary {
        precondition(index >= 0 && index < count, "there is no such span")
        return unsafe Summary(
            startTime: spans[index].start_time, endTime: spans[index].end_time, status: spans[index].status,
            hasParent: spans[index].parent_span_id.count > 0)
    }

    /// What `hash` is to look at.
    public struct HashedFields: OptionSet, Sendable {
        /// One bit a field.
        public let rawValue: UInt32
        /// From its bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// The name.
        public static let name = HashedFields(rawValue: UInt32(COTLP_SPAN_NAME))
        /// The kind; one that means nothing is unspecified.
        public static let kind = HashedFields(rawValue: UInt32(COTLP_SPAN_KIND))
        /// The status; one that means nothing is unset.
        public static let status = HashedFields(rawValue: UInt32(COTLP_SPAN_STATUS))
    }

    /// Hashes fields of all spans at hand, each behind `start`, which must come of a hash: a kind and a status are put into it
    /// as they are.
    public mutating func hash(_ fields: HashedFields, _ hasher: WireHasher, from start: WireHash) {
        unsafe hasher.withKey { key in
            unsafe cotlp_spans_hash(key, cotlp_hash(start), fields.rawValue, spans, count, hashes)
        }
    }

    /// Hashes what names the edge of each span at hand: its trace and, of one of these kinds, its own id, else its parent's.
    public mutating func hashEdges(callers: ClosedRange<UInt64>, _ hasher: WireHasher) {
        let mask = callers.reduce(0) { $0 | 1 << UInt32($1) } as UInt32
        unsafe hasher.withKey { unsafe cotlp_spans_hash_edges($0, mask, spans, count, hashes) }
    }

    /// What `hash` or `hashEdges` found of a span, or what was set since.
    public func hash(_ index: Int) -> WireHash {
        precondition(index >= 0 && index < count, "there is no such span")
        return unsafe WireHash(hashes[index])
    }

    /// Puts another hash, which more of a span went into, in the place of its own.
    public mutating func setHash(_ index: Int, _ hash: WireHash) {
        precondition(index >= 0 && index < count, "there is no such span")
        unsafe hashes[index] = cotlp_hash(hash)
    }
}

/// Asks for memory to be brought into the cache, while something else is done. Any address is fine.
public func prefetch(_ memory: UnsafeRawBufferPointer) {
    guard let base = memory.baseAddress else { return }
    // SAFETY: nothing is read.
    unsafe cotlp_prefetch(base.assumingMemoryBound(to: UInt8.self), memory.count)
}
