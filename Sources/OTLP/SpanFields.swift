/// A span as far as everything that counts spans needs it. Borrows as `WireBytes`.
public struct SpanFields {
    /// Bytes; 16 of a valid span.
    public private(set) var traceID = WireBytes.none
    /// Bytes; 8 of a valid span.
    public private(set) var spanID = WireBytes.none
    /// Bytes; none or zeros for a root.
    public private(set) var parentSpanID = WireBytes.none
    /// UTF-8 text.
    public private(set) var name = WireBytes.none
    /// The number of a `SpanKind`.
    public private(set) var kind: UInt64 = 0
    /// Nanoseconds since 1970.
    public private(set) var startTime: UInt64 = 0
    /// Nanoseconds since 1970.
    public private(set) var endTime: UInt64 = 0
    /// The number of a `StatusCode`.
    public private(set) var status: UInt64 = 0
    /// The whole span.
    public let message: WireBytes

    /// Reads a `Span` message. Allocates nothing.
    public init(_ message: WireBytes) {
        self.message = message
        _ = read { _ in true }
    }

    /// Reads a `Span` message if its kind is one of these; of another one not even to its end.
    public init?(_ message: WireBytes, kinds: ClosedRange<UInt64>) {
        self.message = message
        guard read(while: kinds.contains), kinds.contains(kind) else { return nil }
    }

    /// Reads the message as long as its kind is wanted; whether that is to its end.
    @inline(__always)
    private mutating func read(while isWanted: (UInt64) -> Bool) -> Bool {
        var fields = message.fields
        while true {
            fields.skip(Field.Span.attributes)
            guard let field = fields.next() else { return true }
            switch field.number {
            case Field.Span.traceID: traceID = field.bytes
            case Field.Span.spanID: spanID = field.bytes
            case Field.Span.parentSpanID: parentSpanID = field.bytes
            case Field.Span.name: name = field.bytes
            case Field.Span.kind:
                kind = field.bits
                guard isWanted(kind) else { return false }
            case Field.Span.startTime: startTime = field.bits
            case Field.Span.endTime: endTime = field.bits
            case Field.Span.status:
                status = 0
                for part in field.bytes.fields where part.number == Field.SpanStatus.code {
                    status = part.bits
                }
            default: break
            }
        }
    }

    /// The number of the `StatusCode` of a `Span` message.
    public static func status(of span: WireBytes) -> UInt64 {
        var fields = span.fields
        var status: UInt64 = 0
        while true {
            fields.skip(Field.Span.attributes)
            guard let field = fields.next() else { return status }
            guard field.number == Field.Span.status else { continue }
            status = 0
            for part in field.bytes.fields where part.number == Field.SpanStatus.code { status = part.bits }
        }
    }

    /// When a `Span` message says that it started and ended, in nanoseconds since 1970.
    public static func times(of span: WireBytes) -> (start: UInt64, end: UInt64) {
        var fields = span.fields
        var times: (start: UInt64, end: UInt64) = (0, 0)
        while true {
            fields.skip(Field.Span.attributes)
            guard let field = fields.next() else { return times }
            if field.number == Field.Span.startTime { times.start = field.bits }
            if field.number == Field.Span.endTime { times.end = field.bits }
        }
    }

    /// How long it took, in nanoseconds; 0 when it ended before it started, as clocks may have it.
    public var duration: UInt64 { endTime > startTime ? endTime - startTime : 0 }

    /// `SPAN_KIND_SERVER` and so on; a number that means nothing is unspecified.
    public var kindName: String {
        switch kind {
        case 1: "SPAN_KIND_INTERNAL"
        case 2: "SPAN_KIND_SERVER"
        case 3: "SPAN_KIND_CLIENT"
        case 4: "SPAN_KIND_PRODUCER"
        case 5: "SPAN_KIND_CONSUMER"
        default: "SPAN_KIND_UNSPECIFIED"
        }
    }

    /// `STATUS_CODE_ERROR` and so on.
    public var statusName: String {
        switch status {
        case 1: "STATUS_CODE_OK"
        case 2: "STATUS_CODE_ERROR"
        default: "STATUS_CODE_UNSET"
        }
    }

    /// Whether it has no parent.
    public var isRoot: Bool {
        for index in 0..<parentSpanID.count where parentSpanID[index] != 0 { return false }
        return true
    }
}
