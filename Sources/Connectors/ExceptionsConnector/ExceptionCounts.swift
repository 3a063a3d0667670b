internal import MetricBuilding
package import NIOCore
package import OTLP
package import Pipeline

/// Counts exceptions by their labels. One thread. Times are nanoseconds since 1970.
package final class ExceptionCounts {
    private struct Series {
        var count: UInt64 = 0
        var exemplar: MetricExemplar?
    }

    private let config: ExceptionsConfig
    private let ledger: MemoryLedger?
    private let start: UInt64
    private var series: [AttributeList: Series] = [:]
    /// Exceptions counted in the series of too many.
    package private(set) var overflowed = 0

    package init(_ config: ExceptionsConfig, ledger: MemoryLedger?, now: UInt64) {
        self.config = config
        self.ledger = ledger
        start = now
    }

    package var seriesCount: Int { series.count }

    package func count(_ request: WireBytes, now: UInt64) {
        FoundException.forEach(in: request) { found in
            var labels = AttributeList()
            labels.add(Array("service.name".utf8), found.service.array)
            labels.add(Array("span.name".utf8), found.span.name.array)
            labels.add("span.kind", found.span.kindName)
            labels.add("status.code", found.span.statusName)
            found.add(config.dimensions, to: &labels)
            if series[labels] == nil, series.count >= config.seriesMax {
                overflowed += 1
                labels = AttributeList()
                labels.add("otel.metric.overflow", true)
            }
            if series[labels] == nil { ledger?.charge(labels.bytes.count + Self.seriesBytes) }
            series[labels, default: Series()].count &+= 1
            guard config.hasExemplars, found.span.traceID.count > 0 else { return }
            series[labels]?.exemplar = MetricExemplar(
                value: 1, time: now, traceID: found.span.traceID.array, spanID: found.span.spanID.array)
        }
    }

    private static let seriesBytes = 200

    /// All series as they are now.
    package func flush(now: UInt64, emit: (ByteBuffer, _ points: Int) -> Void) {
        guard !series.isEmpty else { return }
        var request = MetricRequest()
        request.beginResource()
        request.beginScope("exceptionsconnector")
        request.beginMetric("exceptions", .sum(.cumulative, isMonotonic: true))
        for (labels, series) in series {
            request.number(
                .int(Int64(clamping: series.count)), labels, start: start, time: now,
                exemplars: series.exemplar.map { [$0] } ?? [])
        }
        for key in series.keys { series[key]?.exemplar = nil }
        let points = request.points
        emit(request.finish(), points)
    }
}

/// Makes log records of exceptions.
package struct ExceptionLogs {
    private let dimensions: [ExceptionsConfig.Dimension]
    private var buffer = ProtobufBuffer()
    private var lastResource: Int?
    /// Records so far.
    package private(set) var records = 0

    package init(_ config: ExceptionsConfig) { dimensions = config.dimensions }

    /// Adds a record for each exception of a request.
    package mutating func add(_ request: WireBytes) {
        lastResource = nil
        FoundException.forEach(in: request) { add($0) }
    }

    /// The request of all records.
    package mutating func finish() -> ByteBuffer {
        buffer.end(to: 0)
        return buffer.bytes
    }

    private mutating func add(_ found: FoundException) {
        // Neighbours of one resource share it.
        let address = unsafe found.resource.unsafeBytes.baseAddress.map { Int(bitPattern: $0) }
        if buffer.depth == 0 || address != lastResource {
            lastResource = address
            buffer.end(to: 0)
            buffer.begin(Field.Request.resources)
            buffer.field(Field.ResourceEntry.resource, found.resource)
            buffer.begin(Field.ResourceEntry.scopes)
            buffer.message(Field.ScopeEntry.scope) { $0.text(Field.Scope.name, "exceptionsconnector") }
        }
        records += 1
        var attributes = AttributeList()
        attributes.add(allOf: found.span.message, Field.Span.attributes)
        attributes.add("span.kind", found.span.kindName)
        attributes.add("status.code", found.span.statusName)
        attributes.add(Array("service.name".utf8), found.service.array)
        // Those of the span are there already.
        for dimension in dimensions
        where found.span.message.attribute(dimension.key, in: Field.Span.attributes) == nil {
            if let value = found.value(dimension.key) {
                attributes.add(dimension.key.bytes, value)
            } else if let value = dimension.value {
                attributes.add(dimension.key.description, value)
            }
        }
        if let trace = found.event.attribute("exception.stacktrace", in: Field.SpanEvent.attributes) {
            attributes.add(Array("exception.stacktrace".utf8), trace)
        }
        var time: UInt64 = 0
        for field in found.event.fields where field.number == Field.SpanEvent.time { time = field.bits }
        buffer.begin(Field.ScopeEntry.entries)
        buffer.fixed64(Field.LogRecord.time, time)
        buffer.integer(Field.LogRecord.severityNumber, 17)
        buffer.text(Field.LogRecord.severityText, "ERROR")
        attributes.write(Field.LogRecord.attributes, into: &buffer)
        buffer.field(Field.LogRecord.traceID, found.span.traceID)
        buffer.field(Field.LogRecord.spanID, found.span.spanID)
        buffer.end()
    }
}
