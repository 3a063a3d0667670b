import NIOCore
import OTLP
import TestSupport

@testable import PrometheusExporter

/// A store with the requests that a test gives it and the pages that it reads.
struct StoreUnderTest {
    let store: SeriesStore
    /// What is read in one go.
    var workPerTurn = SeriesStore.workPerTurn

    init(
        strategy: TranslationStrategy = .underscoreEscapingWithSuffixes, namespace: String = "",
        constLabels: [Label] = [], resourceLabels: ResourceLabels = ResourceLabels(),
        withoutScopeInfo: Bool = false,
        limits: SeriesStore.Limits = .init(series: 1000, seriesPerMetric: 1000)
    ) {
        store = SeriesStore(
            SeriesStore.Settings(
                namer: MetricNamer(strategy: strategy, namespace: namespace), constLabels: constLabels,
                resourceLabels: resourceLabels, withoutScopeInfo: withoutScopeInfo, limits: limits))
    }

    /// Takes a request in; returns how many points were kept.
    @discardableResult
    func take(_ request: TestRequest, at now: UInt32 = 100) -> Int {
        request.bytes.withUnsafeBytes { take($0, at: now) }
    }

    /// Takes a request in, turn by turn; returns how many points were kept.
    func take(_ request: UnsafeRawBufferPointer, at now: UInt32) -> Int {
        var position = ReadPosition()
        var kept = 0
        var isDone = false
        while !isDone {
            store.work = workPerTurn
            isDone = store.read(WireBytes(request), from: &position, now: now, kept: &kept)
        }
        return kept
    }

    /// Takes metrics of a resource without attributes in.
    @discardableResult
    func take(_ metrics: [UInt8]..., at now: UInt32 = 100) -> Int {
        take(request(metrics), at: now)
    }

    func page(
        _ format: ExpositionFormat = .text, escaping: NameEscaping = .allowUTF8, names: [String] = [],
        sendsTimestamps: Bool = false, showsCreated: Bool = false, isGzipped: Bool = false,
        at now: UInt32 = 100
    ) -> [UInt8] {
        let key = PageKey(format: format, escaping: escaping, isGzipped: isGzipped, names: names)
        var maker = PageMaker(key, sendsTimestamps: sendsTimestamps, showsCreated: showsCreated)
        let cursor = store.beginPage(names: names.isEmpty ? nil : Set(names))
        while maker.writeSlice(store, cursor, now: now) {}
        store.endPage(cursor)
        return maker.finish().flatMap { Array($0.readableBytesView) }
    }

    func text(
        _ format: ExpositionFormat = .text, escaping: NameEscaping = .allowUTF8, names: [String] = [],
        sendsTimestamps: Bool = false, showsCreated: Bool = false, at now: UInt32 = 100
    ) -> String {
        String(
            decoding: page(
                format, escaping: escaping, names: names, sendsTimestamps: sendsTimestamps,
                showsCreated: showsCreated, at: now),
            as: UTF8.self)
    }

    /// The lines of a page that are samples.
    func samples(_ format: ExpositionFormat = .text, at now: UInt32 = 100) -> [String] {
        text(format, at: now).split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
    }

    /// What was dropped since it was last asked, by reason.
    func drops() -> [DropReason: Int] {
        let events = store.takeEvents()
        return Dictionary(
            uniqueKeysWithValues: zip(DropReason.allCases, events.drops).filter { $0.1 > 0 })
    }
}

// MARK: - Requests

/// The bytes of an `ExportMetricsServiceRequest`.
struct TestRequest {
    let bytes: [UInt8]
}

/// An `ExportMetricsServiceRequest` of one resource and scope.
func request(
    _ metrics: [[UInt8]], resource: [(String, String)] = [], scope: String = "", version: String = "",
    scopeAttributes: [(String, String)] = [], schemaURL: String = ""
) -> TestRequest {
    var writer = ProtoWriter()
    writer.message(1) { entry in
        if !resource.isEmpty {
            entry.message(1) { message in
                for (key, value) in resource { message.attribute(1, key, value) }
            }
        }
        entry.message(2) { entry in
            if !scope.isEmpty || !scopeAttributes.isEmpty {
                entry.message(1) { message in
                    message.text(1, scope)
                    if !version.isEmpty { message.text(2, version) }
                    for (key, value) in scopeAttributes { message.attribute(3, key, value) }
                }
            }
            for metric in metrics { entry.field(2, metric) }
            if !schemaURL.isEmpty { entry.text(3, schemaURL) }
        }
    }
    return TestRequest(bytes: writer.bytes)
}

func metric(
    _ name: String, unit: String, help: String, kind: Int, temporality: UInt64, isMonotonic: Bool = false,
    type: String? = nil, _ points: [[UInt8]]
) -> [UInt8] {
    var writer = ProtoWriter()
    writer.text(1, name)
    if !help.isEmpty { writer.text(2, help) }
    if !unit.isEmpty { writer.text(3, unit) }
    writer.message(kind) { data in
        for point in points { data.field(1, point) }
        if temporality > 0 { data.integer(2, temporality) }
        if isMonotonic { data.integer(3, 1) }
    }
    if let type { writer.attribute(12, "prometheus.type", type) }
    return writer.bytes
}

let delta: UInt64 = 1
let cumulative: UInt64 = 2

func counter(_ name: String, unit: String = "", help: String = "", _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: unit, help: help, kind: 7, temporality: cumulative, isMonotonic: true, points)
}

func counter(_ name: String, _ temporality: UInt64, _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: "", help: "", kind: 7, temporality: temporality, isMonotonic: true, points)
}

func upDownCounter(_ name: String, _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: "", help: "", kind: 7, temporality: cumulative, points)
}

func upDownCounter(_ name: String, _ temporality: UInt64, _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: "", help: "", kind: 7, temporality: temporality, points)
}

func gauge(
    _ name: String, unit: String = "", help: String = "", type: String? = nil, _ points: [UInt8]...
) -> [UInt8] {
    metric(name, unit: unit, help: help, kind: 5, temporality: 0, type: type, points)
}

func histogram(_ name: String, unit: String = "", _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: unit, help: "", kind: 9, temporality: cumulative, points)
}

func histogram(_ name: String, _ temporality: UInt64, _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: "", help: "", kind: 9, temporality: temporality, points)
}

func exponential(_ name: String, _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: "", help: "", kind: 10, temporality: cumulative, points)
}

func exponential(_ name: String, _ temporality: UInt64, _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: "", help: "", kind: 10, temporality: temporality, points)
}

func summary(_ name: String, _ points: [UInt8]...) -> [UInt8] {
    metric(name, unit: "", help: "", kind: 11, temporality: 0, points)
}

// MARK: - Points

/// Ten seconds: times of tests are small, so that they are read easily.
func seconds(_ count: UInt64) -> UInt64 { count * 1_000_000_000 }

enum TestNumber: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
    case int(Int64)
    case double(Double)

    init(integerLiteral value: Int64) { self = .int(value) }
    init(floatLiteral value: Double) { self = .double(value) }
}

func point(
    _ number: TestNumber?, _ attributes: [(String, String)] = [], start: UInt64 = 0, time: UInt64 = 10,
    flags: UInt64 = 0, exemplars: [[UInt8]] = []
) -> [UInt8] {
    var writer = ProtoWriter()
    if start > 0 { writer.fixed64(2, seconds(start)) }
    if time > 0 { writer.fixed64(3, seconds(time)) }
    switch number {
    case .int(let value): writer.fixed64(6, UInt64(bitPattern: value))
    case .double(let value): writer.double(4, value)
    case nil: break
    }
    for exemplar in exemplars { writer.field(5, exemplar) }
    for (key, value) in attributes { writer.attribute(7, key, value) }
    if flags > 0 { writer.integer(8, flags) }
    return writer.bytes
}

func histogramPoint(
    _ counts: [UInt64], _ bounds: [Double], sum: Double? = nil, count: UInt64? = nil,
    _ attributes: [(String, String)] = [], start: UInt64 = 0, time: UInt64 = 10, flags: UInt64 = 0,
    exemplars: [[UInt8]] = [], isPacked: Bool = true
) -> [UInt8] {
    var writer = ProtoWriter()
    if start > 0 { writer.fixed64(2, seconds(start)) }
    writer.fixed64(3, seconds(time))
    writer.fixed64(4, count ?? counts.reduce(0, +))
    if let sum { writer.double(5, sum) }
    if isPacked {
        writer.packedFixed64(6, counts)
        writer.packedFixed64(7, bounds.map(\.bitPattern))
    } else {
        for count in counts { writer.fixed64(6, count) }
        for bound in bounds { writer.double(7, bound) }
    }
    for exemplar in exemplars { writer.field(8, exemplar) }
    for (key, value) in attributes { writer.attribute(9, key, value) }
    if flags > 0 { writer.integer(10, flags) }
    return writer.bytes
}

func exemplar(
    _ value: Double, trace: [UInt8] = Array(repeating: 0xAB, count: 16), span: [UInt8] = [],
    time: UInt64 = 9, attributes: [(String, String)] = []
) -> [UInt8] {
    var writer = ProtoWriter()
    writer.fixed64(2, seconds(time))
    writer.double(3, value)
    if !span.isEmpty { writer.field(4, span) }
    if !trace.isEmpty { writer.field(5, trace) }
    for (key, value) in attributes { writer.attribute(7, key, value) }
    return writer.bytes
}

func exponentialPoint(
    scale: Int, zeros: UInt64 = 0, positive: (Int, [UInt64]) = (0, []), negative: (Int, [UInt64]) = (0, []),
    sum: Double? = nil, start: UInt64 = 0, time: UInt64 = 10, flags: UInt64 = 0, count: UInt64? = nil
) -> [UInt8] {
    func zigzag(_ value: Int) -> UInt64 { UInt64(bitPattern: Int64(value) << 1 ^ Int64(value) >> 63) }
    var writer = ProtoWriter()
    if start > 0 { writer.fixed64(2, seconds(start)) }
    writer.fixed64(3, seconds(time))
    writer.fixed64(4, count ?? zeros + positive.1.reduce(0, +) + negative.1.reduce(0, +))
    if let sum { writer.double(5, sum) }
    writer.integer(6, zigzag(scale))
    writer.fixed64(7, zeros)
    for (number, buckets) in [(8, positive), (9, negative)] {
        writer.message(number) {
            $0.integer(1, zigzag(buckets.0))
            $0.packedVarint(2, buckets.1)
        }
    }
    if flags > 0 { writer.integer(10, flags) }
    return writer.bytes
}

func summaryPoint(
    _ quantiles: [(Double, Double)], count: UInt64, sum: Double, start: UInt64 = 0, time: UInt64 = 10
) -> [UInt8] {
    var writer = ProtoWriter()
    if start > 0 { writer.fixed64(2, seconds(start)) }
    writer.fixed64(3, seconds(time))
    writer.fixed64(4, count)
    writer.double(5, sum)
    for (quantile, value) in quantiles {
        writer.message(6) {
            $0.double(1, quantile)
            $0.double(2, value)
        }
    }
    return writer.bytes
}
