/// A message that a splitter has entered.
struct OpenMessage {
    /// Offset of its tag in the request.
    let start: Int
    /// Its field number in the message around it.
    let number: UInt32
    /// Offset of the field to look at next.
    var position: Int
    /// Offset of its end.
    let end: Int
    private let contentStart: Int
    private let level: Int
    /// The fields to repeat in each piece: all but those that lead to items. Neighbours are one range.
    let envelope: [Range<Int>]
    private let envelopeCount: Int

    /// Most bytes that a tag (field numbers up to 15) and a length take.
    private static let headerCountMax = 6

    init(
        _ request: WireBytes, _ content: Range<Int>, level: Int, number: UInt32, start: Int,
        shape: RequestShape
    ) {
        self.start = start
        self.number = number
        self.position = content.lowerBound
        self.contentStart = content.lowerBound
        self.end = content.upperBound
        self.level = level
        var envelope: [Range<Int>] = []
        var envelopeCount = 0
        for field in request.fields(content) where !shape.isChild(field, level: level) {
            envelopeCount += field.end - field.start
            if let last = envelope.last, last.upperBound == field.start {
                envelope[envelope.count - 1] = last.lowerBound..<field.end
            } else {
                envelope.append(field.start..<field.end)
            }
        }
        self.envelope = envelope
        self.envelopeCount = envelopeCount
    }

    /// Whether nothing has been taken from it.
    var isUntouched: Bool { position == contentStart }

    /// What its header and envelope add to a piece, at most.
    var overhead: Int { envelopeCount + Self.headerCountMax }

    /// Moves to the next field that leads to items; false when there is none.
    mutating func findChild(in request: WireBytes, _ shape: RequestShape) -> Bool {
        var fields = request.fields(position..<end)
        while let field = fields.next() {
            if shape.isChild(field, level: level) {
                position = field.start
                return true
            }
        }
        position = end
        return false
    }

    /// Takes items that stand in a row, as many as the limits allow; nil when not even one fits.
    /// Precondition: `findChild` has found one, on the level of the items.
    mutating func takeRun(
        in request: WireBytes, _ shape: RequestShape, _ limits: (items: Int, bytes: Int)
    ) -> (range: Range<Int>, items: Int)? {
        let start = position
        var items = 0
        var fields = request.fields(position..<end)
        while items < limits.items, let field = fields.next(), shape.isChild(field, level: level),
            field.end - start <= limits.bytes
        {
            position = field.end
            items += 1
        }
        return items == 0 ? nil : (start..<position, items)
    }

    /// The field that `findChild` has found.
    func child(in request: WireBytes) -> WireField {
        var fields = request.fields(position..<end)
        guard let field = fields.next() else { preconditionFailure("findChild has found a field") }
        return field
    }
}

/// A piece while it is filled: for each open message what has been taken from it.
struct PieceDraft {
    private(set) var itemsLeft: Int
    /// What the bytes taken, the headers and the envelopes leave; below 0 when one item alone is too large.
    private(set) var bytesLeft: Int
    private(set) var isEmpty = true
    private var items = 0

    /// What is left, of both.
    var limits: (items: Int, bytes: Int) { (itemsLeft, bytesLeft) }
    private var contents: [SegmentList]

    init(itemsLeft: Int, bytesLeft: Int, levels: [OpenMessage]) {
        self.itemsLeft = itemsLeft
        self.bytesLeft = levels.reduce(bytesLeft) { $0 - $1.overhead }
        self.contents = Array(repeating: SegmentList(), count: levels.count)
    }

    /// Whether nothing has been taken from the innermost message.
    var innermostIsEmpty: Bool { contents[contents.count - 1].segments.isEmpty }

    /// Takes a range of the request into the innermost message.
    mutating func take(_ range: Range<Int>, items taken: Int) {
        contents[contents.count - 1].append(range)
        items += taken
        itemsLeft -= taken
        bytesLeft -= range.count
        isEmpty = false
    }

    /// Enters a message.
    mutating func open(_ message: OpenMessage) {
        contents.append(SegmentList())
        bytesLeft -= message.overhead
    }

    /// Leaves the innermost message, of which nothing is left.
    mutating func close(_ message: OpenMessage) {
        let content = contents.removeLast()
        let wrapped = content.wrapped(in: message)
        bytesLeft += message.overhead - (wrapped.count - content.count)
        contents[contents.count - 1].append(wrapped)
    }

    /// Leaves the innermost message, from which nothing was taken.
    mutating func giveBack() {
        contents.removeLast()
    }

    /// The piece: what was taken, wrapped in the messages still open, outermost first.
    func finish(_ open: [OpenMessage], maxBytes: Int) -> SplitPiece {
        precondition(open.count == contents.count, "each open message has its content")
        var content = SegmentList()
        for level in stride(from: open.count - 1, through: 1, by: -1) {
            var outer = contents[level]
            outer.append(content)
            content = outer.wrapped(in: open[level])
        }
        var request = SegmentList()
        for range in open[0].envelope { request.append(range) }
        request.append(contents[0])
        request.append(content)
        return SplitPiece(
            segments: request.segments, items: items, bytes: request.count,
            isOversized: request.count > maxBytes)
    }
}

/// Segments in order; neighbours are joined.
private struct SegmentList {
    private(set) var segments: [SplitSegment] = []
    private(set) var count = 0

    mutating func append(_ range: Range<Int>) {
        count += range.count
        if case .original(let offset, let length)? = segments.last, offset + length == range.lowerBound {
            segments[segments.count - 1] = .original(offset: offset, count: length + range.count)
        } else {
            segments.append(.original(offset: range.lowerBound, count: range.count))
        }
    }

    mutating func append(_ bytes: [UInt8]) {
        count += bytes.count
        if case .bytes(let before)? = segments.last {
            segments[segments.count - 1] = .bytes(before + bytes)
        } else {
            segments.append(.bytes(bytes))
        }
    }

    mutating func append(_ other: SegmentList) {
        for segment in other.segments {
            switch segment {
            case .original(let offset, let count): append(offset..<offset + count)
            case .bytes(let bytes): append(bytes)
            }
        }
    }

    /// The message around these segments: header, envelope, segments.
    func wrapped(in message: OpenMessage) -> SegmentList {
        let contentCount = message.envelope.reduce(count) { $0 + $1.count }
        var header = WireWriter()
        header.lengthDelimited(message.number, count: contentCount)
        var result = SegmentList()
        result.append(header.bytes)
        for range in message.envelope { result.append(range) }
        result.append(self)
        return result
    }
}
