internal import MetricBuilding
internal import NIOCore
internal import OTLP
internal import Pipeline

/// Counts exceptions by their labels. One thread. Times are nanoseconds since 1970.
final class ExceptionCounts {
    private struct Series {
        let labels: AttributeList
        var count: UInt64 = 0
        var exemplar: MetricExemplar?
        /// Whether it is one of `touched`.
        var isTouched = false
    }

    private let config: ExceptionsConfig
    private let start: UInt64
    private var reader: ExceptionReader
    private var series: [Series] = []
    private var places: [AttributeList: Int] = [:]
    /// Series that were counted in and not sent since, where only these are sent.
    private var touched: [Int] = []
    private let sendsTouched: Bool
    /// Of a flush of all series: which is the next one.
    private var next: Int?
    private(set) var room: SeriesRoom

    /// Labels of the span at hand.
    private var base = AttributeList()
    private var baseBytes = 0
    private var lastSpan = 0

    init(_ config: ExceptionsConfig, ledger: MemoryLedger?, now: UInt64) {
        self.config = config
        start = now
        sendsTouched = config.flushInterval == .zero
        reader = ExceptionReader(config.dimensions)
        room = SeriesRoom(ledger)
    }

    func count(_ request: WireBytes, now: UInt64) {
        lastSpan = 0
        var reader = reader
        reader.forEach(in: request) { found in
            if found.spanNumber != lastSpan { begin(span: found) }
            let index = place(found)
            series[index].count &+= 1
            if sendsTouched, !series[index].isTouched {
                series[index].isTouched = true
                touched.append(index)
            }
            // Longer ones are none, and would be copied for each event.
            let (trace, span) = (found.span.traceID, found.span.spanID)
            guard config.hasExemplars, 1...16 ~= trace.count, span.count <= 8 else { return }
            series[index].exemplar = MetricExemplar(
                value: 1, time: now, traceID: trace.array, spanID: span.array)
        }
    }

    private func begin(span found: FoundException) {
        lastSpan = found.spanNumber
        base = AttributeList()
        baseBytes = found.service.count + found.span.name.count
        guard baseBytes <= SeriesRoom.labelBytesMax else { return }
        base.add(Array("service.name".utf8), found.service.array)
        base.add(Array("span.name".utf8), found.span.name.array)
        base.add("span.kind", found.span.kindName)
        base.add("status.code", found.span.statusName)
        baseBytes = base.bytes.count
    }

    /// The place of the exception's series; a new one, or that of too many, if it is not known.
    private func place(_ found: FoundException) -> Int {
        var bytes = baseBytes
        for (index, dimension) in config.dimensions.enumerated() {
            bytes += dimension.key.bytes.count
            bytes += found.value(index)?.count ?? dimension.value?.utf8.count ?? 0
        }
        guard bytes <= SeriesRoom.labelBytesMax else { return overflow(.labels) }
        var labels = base
        for (index, dimension) in config.dimensions.enumerated() {
            if let value = found.value(index) {
                labels.add(dimension.key.bytes, AttributeValue(value))
            } else if let value = dimension.value {
                labels.add(dimension.key.description, value)
            }
        }
        if let place = places[labels] { return place }
        guard series.count < config.seriesMax else { return overflow(.count) }
        if room.isShort(of: labels.bytes.capacity + Self.seriesBytes) { return overflow(.memory) }
        return add(labels)
    }

    private func overflow(_ lack: SeriesLack) -> Int {
        room.overflow(lack)
        var labels = AttributeList()
        labels.add("otel.metric.overflow", true)
        return places[labels] ?? add(labels)
    }

    private func add(_ labels: AttributeList) -> Int {
        room.add(labels.bytes.capacity + Self.seriesBytes)
        series.append(Series(labels: labels))
        places[labels] = series.count - 1
        return series.count - 1
    }

    private static let seriesBytes = 250

    /// Sends a part of what there is: of the series that were counted in since they were sent last, or, with an interval, of all.
    /// - Returns: whether there is more.
    func flush(now: UInt64, emit: (ByteBuffer, _ points: Int) -> Void) -> Bool {
        var part = FlushPart()
        var request = MetricRequest()
        request.beginResource()
        request.beginScope("exceptionsconnector")
        request.beginMetric("exceptions", .sum(.cumulative, isMonotonic: true))
        var sent = 0
        let first = next ?? 0
        let most = sendsTouched ? touched.count : series.count - first
        while part.hasRoom, sent < most {
            let index = sendsTouched ? touched[sent] : first + sent
            write(index, into: &request, now)
            part.add(series[index].labels.bytes.count)
            sent += 1
        }
        if sendsTouched { touched.removeFirst(sent) } else { next = sent < most ? first + sent : nil }
        let points = request.points
        if points > 0 { emit(request.finish(), points) }
        return sent < most
    }

    private func write(_ index: Int, into request: inout MetricRequest, _ now: UInt64) {
        request.number(
            .int(Int64(clamping: series[index].count)), series[index].labels, start: start, time: now,
            exemplars: series[index].exemplar.map { [$0] } ?? [])
        series[index].exemplar = nil
        series[index].isTouched = false
    }
}
