internal import MetricBuilding
internal import NIOCore
internal import OTLP
internal import Pipeline

/// Makes log records of exceptions. One thread.
struct ExceptionLogs {
    private let dimensions: [ExceptionsConfig.Dimension]
    private let allowance: OutputAllowance
    private var reader: ExceptionReader
    private var buffer = ProtobufBuffer()
    private var lastResource = 0
    private var lastSpan = 0
    /// The attributes that all records of the span at hand have.
    private var spanPart = ProtobufBuffer()
    /// Records so far.
    private(set) var records = 0

    /// What a record takes beside what is copied into it, at most.
    private static let recordBytes = 256

    init(_ config: ExceptionsConfig, _ allowance: OutputAllowance) {
        dimensions = config.dimensions
        reader = ExceptionReader(config.dimensions)
        self.allowance = allowance
    }

    /// Adds a record for each exception of a request.
    /// - Throws: the records take too much memory.
    mutating func add(_ request: WireBytes) throws(Refusal) {
        (lastResource, lastSpan) = (0, 0)
        var reader = reader
        try reader.forEach(in: request) { found throws(Refusal) in try add(found) }
    }

    /// The request of all records.
    mutating func finish() -> ByteBuffer {
        buffer.end(to: 0)
        return buffer.bytes
    }

    private mutating func add(_ found: FoundException) throws(Refusal) {
        if found.spanNumber != lastSpan { try begin(span: found) }
        var bytes = spanPart.bytes.readableBytes + Self.recordBytes
        bytes += found.span.traceID.count + found.span.spanID.count
        let trace = found.event.attribute("exception.stacktrace", in: Field.SpanEvent.attributes)
        bytes += trace?.labelBytes ?? 0
        for (index, dimension) in dimensions.enumerated() where !found.isOfSpan(index) {
            bytes += found.value(index)?.count ?? dimension.value?.utf8.count ?? 0
            bytes += dimension.key.bytes.count + 20
        }
        if found.resourceNumber != lastResource { bytes += found.resource.count + Self.recordBytes }
        try allowance.reach(buffer.bytes.readableBytes + spanPart.bytes.readableBytes + bytes)
        // Neighbours of one resource share it.
        if found.resourceNumber != lastResource { begin(resource: found) }
        records += 1
        var attributes = AttributeList()
        // Those of the span are there already.
        for (index, dimension) in dimensions.enumerated() where !found.isOfSpan(index) {
            if let value = found.value(index) {
                attributes.add(dimension.key.bytes, AttributeValue(value))
            } else if let value = dimension.value {
                attributes.add(dimension.key.description, value)
            }
        }
        if let trace { attributes.add(Array("exception.stacktrace".utf8), trace) }
        var time: UInt64 = 0
        for field in found.event.fields where field.number == Field.SpanEvent.time { time = field.bits }
        buffer.begin(Field.ScopeEntry.entries)
        buffer.fixed64(Field.LogRecord.time, time)
        buffer.integer(Field.LogRecord.severityNumber, 17)
        buffer.text(Field.LogRecord.severityText, "ERROR")
        buffer.raw(spanPart.bytes)
        attributes.write(Field.LogRecord.attributes, into: &buffer)
        buffer.field(Field.LogRecord.traceID, found.span.traceID)
        buffer.field(Field.LogRecord.spanID, found.span.spanID)
        buffer.end()
    }

    private mutating func begin(resource found: FoundException) {
        lastResource = found.resourceNumber
        buffer.end(to: 0)
        buffer.begin(Field.Request.resources)
        buffer.field(Field.ResourceEntry.resource, found.resource)
        buffer.begin(Field.ResourceEntry.scopes)
        buffer.message(Field.ScopeEntry.scope) { $0.text(Field.Scope.name, "exceptionsconnector") }
    }

    private mutating func begin(span found: FoundException) throws(Refusal) {
        lastSpan = found.spanNumber
        let bytes = found.span.attributes.count + found.service.count + Self.recordBytes
        try allowance.reach(buffer.bytes.readableBytes + bytes)
        spanPart = ProtobufBuffer()
        spanPart.reserve(bytes)
        for field in found.span.attributes.fields
        where field.number == Field.Span.attributes && field.isBytes {
            spanPart.field(Field.LogRecord.attributes, field.bytes)
        }
        var others = AttributeList()
        others.add("span.kind", found.span.kindName)
        others.add("status.code", found.span.statusName)
        others.add(Array("service.name".utf8), found.service.array)
        others.write(Field.LogRecord.attributes, into: &spanPart)
    }
}
