internal import OTLP

/// What the usual policies ask of spans, noted when they come: then their bytes are in the cache, later they are not.
package struct SpanSummary: BitwiseCopyable, Sendable {
    /// The first start and the last end, in nanoseconds since 1970.
    package private(set) var start = UInt64.max
    package private(set) var end: UInt64 = 0
    /// A bit for the number of each status; the last one for all from 7 up.
    package private(set) var statuses: UInt8 = 0
    /// Whether all spans say when they started.
    package private(set) var isTimed = true

    package init() {}

    /// The bit of a status in `statuses`.
    package static func bit(_ status: UInt64) -> UInt8 { 1 << UInt8(min(status, 7)) }

    mutating func add(_ span: SpanReader.Summary) {
        if span.startTime < start { start = span.startTime }
        if span.endTime > end { end = span.endTime }
        if span.startTime == 0 { isTimed = false }
        statuses |= Self.bit(span.status)
    }

    mutating func add(_ other: SpanSummary) {
        if other.start < start { start = other.start }
        if other.end > end { end = other.end }
        if !other.isTimed { isTimed = false }
        statuses |= other.statuses
    }
}
