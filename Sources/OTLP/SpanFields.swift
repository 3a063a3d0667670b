internal import COTLP

/// A span as far as everything that counts spans needs it. Borrows as `WireBytes`.
public struct SpanFields {
    /// Bytes; 16 of a valid span.
    public let traceID: WireBytes
    /// Bytes; 8 of a valid span.
    public let spanID: WireBytes
    /// Bytes; none or zeros for a root.
    public let parentSpanID: WireBytes
    /// UTF-8 text.
    public let name: WireBytes
    /// The fields from the first attribute to the last, with whatever stands between them.
    public let attributes: WireBytes
    /// The number of a `SpanKind`.
    public let kind: UInt64
    /// Nanoseconds since 1970.
    public let startTime: UInt64
    /// Nanoseconds since 1970.
    public let endTime: UInt64
    /// The number of a `StatusCode`.
    public let status: UInt64
    /// The whole span.
    public let message: WireBytes

    /// Reads a `Span` message. Allocates nothing.
    public init(_ message: WireBytes) {
        var span = unsafe cotlp_span()
        // SAFETY: the C function reads exactly these bytes, during the call.
        _ = unsafe cotlp_span_read(
            message.bytePointer, message.count, UInt32(COTLP_ANY_KIND), &span)
        unsafe self.init(span)
    }

    /// SAFETY: the runs lie in the span's bytes.
    init(_ span: cotlp_span) {
        unsafe message = WireBytes(span.whole)
        unsafe traceID = WireBytes(span.trace_id)
        unsafe spanID = WireBytes(span.span_id)
        unsafe parentSpanID = WireBytes(span.parent_span_id)
        unsafe name = WireBytes(span.name)
        unsafe attributes = WireBytes(span.attributes)
        kind = unsafe span.kind
        startTime = unsafe span.start_time
        endTime = unsafe span.end_time
        status = unsafe span.status
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
