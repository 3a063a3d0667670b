internal import OTLP

// Spans as text.

extension TextWriter {
    /// `name traceid spanid key=value …`.
    mutating func normalSpan(_ message: WireBytes) {
        let span = SpanFields(message)
        text(span.name)
        put(" ")
        hex(span.traceID)
        put(" ")
        hex(span.spanID)
        attributePairs(message, Field.Span.attributes)
        endLine()
    }

    mutating func detailedSpan(_ message: WireBytes, _ index: Int) {
        let span = SpanFields(message)
        line("Span #\(index)")
        put("    Trace ID       : ")
        hex(span.traceID)
        endLine()
        put("    Parent ID      : ")
        hex(span.parentSpanID)
        endLine()
        put("    ID             : ")
        hex(span.spanID)
        endLine()
        line("    Name           : ", span.name)
        line("    Kind           : \(span.kind)")
        if span.traceState.count > 0 { line("    TraceState     : ", span.traceState) }
        put("    Start time     : ")
        time(span.startTime)
        endLine()
        put("    End time       : ")
        time(span.endTime)
        endLine()
        line("    Status code    : \(span.statusCode)")
        line("    Status message : ", span.statusMessage)
        line("    DroppedAttributesCount: \(span.droppedAttributes)")
        line("    DroppedEventsCount: \(span.droppedEvents)")
        line("    DroppedLinksCount: \(span.droppedLinks)")
        attributeLines("Attributes", message, Field.Span.attributes)
        events(message)
        links(message)
    }

    private mutating func events(_ span: WireBytes) {
        var index = 0
        for field in span.fields where field.number == Field.Span.events {
            if index == 0 { line("Events:") }
            let event = field.bytes
            line("SpanEvent #\(index)")
            line("     -> Name: ", event.content(Field.SpanEvent.name))
            put("     -> Timestamp: ")
            time(event.last(Field.SpanEvent.time)?.bits ?? 0)
            endLine()
            line("     -> DroppedAttributesCount: \(event.uint32(Field.SpanEvent.droppedAttributesCount))")
            attributeLines(
                "     -> Attributes:", event, Field.SpanEvent.attributes, indent: "          ")
            index += 1
        }
    }

    private mutating func links(_ span: WireBytes) {
        var index = 0
        for field in span.fields where field.number == Field.Span.links {
            if index == 0 { line("Links:") }
            let link = field.bytes
            line("SpanLink #\(index)")
            put("     -> Trace ID: ")
            hex(link.content(Field.SpanLink.traceID))
            endLine()
            put("     -> ID: ")
            hex(link.content(Field.SpanLink.spanID))
            endLine()
            line("     -> TraceState: ", link.content(Field.SpanLink.traceState))
            line("     -> DroppedAttributesCount: \(link.uint32(Field.SpanLink.droppedAttributesCount))")
            attributeLines("     -> Attributes:", link, Field.SpanLink.attributes, indent: "          ")
            index += 1
        }
    }
}

/// The fields of a span that are shown, but for its lists.
private struct SpanFields {
    var traceID = WireBytes.none
    var spanID = WireBytes.none
    var parentSpanID = WireBytes.none
    var traceState = WireBytes.none
    var name = WireBytes.none
    var kind = "Unspecified"
    var startTime: UInt64 = 0
    var endTime: UInt64 = 0
    var statusCode = "Unset"
    var statusMessage = WireBytes.none
    var droppedAttributes: UInt32 = 0
    var droppedEvents: UInt32 = 0
    var droppedLinks: UInt32 = 0

    init(_ span: WireBytes) {
        for field in span.fields {
            switch field.number {
            case Field.Span.traceID: traceID = field.bytes
            case Field.Span.spanID: spanID = field.bytes
            case Field.Span.parentSpanID: parentSpanID = field.bytes
            case Field.Span.traceState: traceState = field.bytes
            case Field.Span.name: name = field.bytes
            case Field.Span.kind:
                kind = field.name(["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"])
            case Field.Span.startTime: startTime = field.bits
            case Field.Span.endTime: endTime = field.bits
            case Field.Span.status:
                statusCode =
                    field.bytes.last(Field.SpanStatus.code)?.name(["Unset", "Ok", "Error"]) ?? "Unset"
                statusMessage = field.bytes.content(Field.SpanStatus.message)
            case Field.Span.droppedAttributesCount: droppedAttributes = field.uint32
            case Field.Span.droppedEventsCount: droppedEvents = field.uint32
            case Field.Span.droppedLinksCount: droppedLinks = field.uint32
            default: break
            }
        }
    }
}

// MARK: - Numbers

extension WireField {
    /// `uint32` and `fixed32`.
    var uint32: UInt32 { UInt32(truncatingIfNeeded: bits) }

    /// The value of an enum.
    var enumeration: Int32 { Int32(truncatingIfNeeded: bits) }

    /// The name of an enum's value, given those of 0, 1, …; the number of a value that has none.
    func name(_ names: [String]) -> String {
        names.indices.contains(Int(enumeration)) ? names[Int(enumeration)] : String(enumeration)
    }
}

extension WireBytes {
    /// The last `uint32` field of this number; 0 when there is none.
    func uint32(_ number: UInt32) -> UInt32 { last(number)?.uint32 ?? 0 }
}
