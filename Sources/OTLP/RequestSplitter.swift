/// One stretch of a piece.
package enum SplitSegment: Sendable, Equatable {
    /// Bytes of the request, unchanged.
    case original(offset: Int, count: Int)
    /// Written anew: the tags and lengths of cut messages.
    case bytes([UInt8])

    /// Number of bytes.
    package var count: Int {
        switch self {
        case .original(_, let count): count
        case .bytes(let bytes): bytes.count
        }
    }
}

/// A part of a split request: a request of its own.
package struct SplitPiece: Sendable, Equatable {
    /// What to send, in order. Runs of untouched items are one segment.
    package var segments: [SplitSegment]
    /// Items in this piece.
    package var items: Int
    /// Bytes of all segments.
    package var bytes: Int
    /// Whether one item with its envelopes is larger than the limit asked for; nothing smaller can be made.
    package var isOversized: Bool
}

/// Takes a request apart, a piece at a time, each piece with limits of its own.
///
/// Only envelopes are written anew. A piece repeats, for each resource and scope (and metric) that it cuts,
/// all their fields but the entries: resource, scope, schema URL, a metric's name and unit, fields unknown
/// to the schema. The fields may stand in any order in the request. Metrics are cut between data points.
/// Entries without items stay in the piece that reaches them. Every item comes out once, in order.
///
/// Precondition: `summarize` accepted the bytes (of others, the walk stops early). Ownership: borrows the
/// bytes, which must live and stay unchanged as long as the splitter. Not for use by two threads at a time.
/// - Complexity: all pieces together walk the request a few times; allocations are per piece.
@safe
package struct RequestSplitter {
    private let request: WireBytes
    private let shape: RequestShape
    /// The messages around the next item: the request, then the cut ones. Never empty.
    private var open: [OpenMessage]

    /// A splitter at the start of a request.
    package init(_ bytes: UnsafeRawBufferPointer, _ signal: Signal) {
        let request = unsafe WireBytes(bytes)
        self.request = request
        self.shape = RequestShape(signal)
        self.open = [OpenMessage(request, 0..<request.count, level: 0, number: 0, start: 0, shape: shape)]
    }

    /// Whether everything has been taken.
    package var isAtEnd: Bool {
        mutating get {
            closeFinished()
            return open.count == 1 && !open[0].findChild(in: request, shape)
        }
    }

    /// The next piece of at most so many items and bytes, or one item if even that is larger; nil at the end.
    ///
    /// - maxItems: at least 1; `Int.max` for no limit.
    /// - maxBytes: at least 1; `Int.max` for no limit.
    package mutating func next(maxItems: Int, maxBytes: Int) -> SplitPiece? {
        precondition(maxItems > 0 && maxBytes > 0, "a piece holds at least one item")
        guard !isAtEnd else { return nil }
        if let whole = takeWhole(maxItems: maxItems, maxBytes: maxBytes) { return whole }
        var draft = PieceDraft(itemsLeft: maxItems, bytesLeft: maxBytes, levels: open)
        while fill(&draft) {}
        giveBackEmpty(&draft)
        return draft.finish(open, maxBytes: maxBytes)
    }

    /// The request as it is, when it fits and nothing was taken before.
    private mutating func takeWhole(maxItems: Int, maxBytes: Int) -> SplitPiece? {
        guard open.count == 1, open[0].isUntouched, request.count <= maxBytes else { return nil }
        let items = shape.countItems(request, level: 0, limit: maxItems)
        guard items <= maxItems else { return nil }
        open[0].position = open[0].end
        let segments = [SplitSegment.original(offset: 0, count: request.count)]
        return SplitPiece(segments: segments, items: items, bytes: request.count, isOversized: false)
    }

    /// One step: takes the next entry whole, enters it, or leaves the innermost message. False when the
    /// piece is full or the request at its end.
    private mutating func fill(_ draft: inout PieceDraft) -> Bool {
        let level = open.count - 1
        guard open[level].findChild(in: request, shape) else {
            guard level > 0 else { return false }
            draft.close(open.removeLast())
            return true
        }
        if level == shape.itemLevel, let run = open[level].takeRun(in: request, shape, draft.limits) {
            draft.take(run.range, items: run.items)
            return true
        }
        let child = open[level].child(in: request)
        let isItem = level == shape.itemLevel
        let items = isItem ? 1 : shape.countItems(child.bytes, level: level + 1, limit: draft.itemsLeft)
        if items <= draft.itemsLeft && child.end - child.start <= draft.bytesLeft {
            draft.take(child.start..<child.end, items: items)
            open[level].position = child.end
            return true
        }
        if isItem || items == 0 {
            // The smallest thing there is: alone in its piece when it is too large for any.
            guard draft.isEmpty else { return false }
            draft.take(child.start..<child.end, items: items)
            open[level].position = child.end
            return false
        }
        guard draft.itemsLeft > 0 else { return false }
        let message = OpenMessage(
            request, child.contentStart..<child.end, level: level + 1, number: child.number,
            start: child.start,
            shape: shape)
        guard draft.isEmpty || message.overhead < draft.bytesLeft else { return false }
        open[level].position = child.end
        open.append(message)
        draft.open(message)
        return true
    }

    /// Leaves the messages that were entered for this piece in vain.
    private mutating func giveBackEmpty(_ draft: inout PieceDraft) {
        while open.count > 1 && draft.innermostIsEmpty {
            let message = open.removeLast()
            draft.giveBack()
            open[open.count - 1].position = message.start
        }
    }

    /// Leaves the messages of which nothing is left, so that no piece repeats an envelope for nothing.
    private mutating func closeFinished() {
        while open.count > 1, !open[open.count - 1].findChild(in: request, shape) { open.removeLast() }
    }
}

/// Which fields of a request lead to its items. Levels:
///
///     0 request ▸ 1 resource entry ▸ 2 scope entry ▸ span or log record
///                                                  ▸ 3 metric ▸ 4 gauge, sum, … ▸ data point
struct RequestShape {
    /// The level whose children are the items.
    let itemLevel: Int

    init(_ signal: Signal) {
        itemLevel = signal == .metrics ? 4 : 2
    }

    /// Whether a field of a message on this level leads to items.
    func isChild(_ field: WireField, level: Int) -> Bool {
        guard field.isBytes else { return false }
        switch level {
        case 0, 4: return field.number == 1
        case 1, 2: return field.number == 2
        default:
            switch field.number {
            case Field.Metric.gauge, Field.Metric.sum, Field.Metric.histogram,
                Field.Metric.exponentialHistogram, Field.Metric.summary:
                return true
            default: return false
            }
        }
    }

    /// The items below a message of this level; counting stops at limit + 1.
    func countItems(_ message: WireBytes, level: Int, limit: Int) -> Int {
        var items = 0
        for field in message.fields where isChild(field, level: level) {
            items += level == itemLevel ? 1 : countItems(field.bytes, level: level + 1, limit: limit - items)
            if items > limit { break }
        }
        return items
    }
}
