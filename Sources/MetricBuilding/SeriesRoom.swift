internal import Logging
internal import NIOCore
package import OTLP
package import Pipeline
import Synchronization

/// Why something is counted in the series with `otel.metric.overflow` instead of one of its own.
package enum SeriesLack: String, CaseIterable, Sendable {
    /// There are as many series as the configuration allows.
    case count = "max_series"
    /// The labels are larger than `SeriesRoom.labelBytesMax`.
    case labels = "label_bytes"
    /// Series take as much of the memory limit as they may.
    case memory

    fileprivate var message: String {
        switch self {
        case .count: "there are as many series as max_series or aggregation_cardinality_limit allows"
        case .labels:
            "the labels of a series would take more than \(SeriesRoom.labelBytesMax) bytes: leave the large attribute out of the dimensions or attributes"
        case .memory:
            "series take half of what memory_limiter leaves for data, or nothing is left of it (limit_mib)"
        }
    }
}

/// How much the series of a component may take. Charges the ledger. One thread.
///
/// A label is copied into each series: with a `service.name` of 500 KB, 600 spans would take 900 MB.
package struct SeriesRoom {
    /// What the labels of one series may take: several times what stores of metrics take in one label.
    package static let labelBytesMax = 8 << 10

    private let ledger: MemoryLedger?
    /// What all series are charged with.
    private var bytes = 0
    /// What went to the series of too many, by the reason's place.
    package private(set) var overflowed = [Int](repeating: 0, count: SeriesLack.allCases.count)

    package init(_ ledger: MemoryLedger?) { self.ledger = ledger }

    /// Whether there is no memory for a series of so many bytes. Those who read the metrics need room, too: series get half.
    package func isShort(of more: Int) -> Bool {
        guard let ledger else { return false }
        let most = ledger.limitBytes
        return bytes + more > most / 2 || ledger.bytes + more > most
    }

    package mutating func add(_ more: Int) {
        bytes += more
        ledger?.charge(more)
    }

    package mutating func remove(_ less: Int) {
        bytes -= less
        ledger?.release(less)
    }

    /// Notes that something went to the series of too many.
    package mutating func overflow(_ lack: SeriesLack) { overflowed[lack.place] += 1 }
}

extension SeriesLack {
    fileprivate var place: Int {
        switch self {
        case .count: 0
        case .labels: 1
        case .memory: 2
        }
    }
}

/// Tells the operator what is counted in series of too many, and why. Any thread.
package final class OverflowReport: Sendable {
    private struct Told {
        var counts = [Int](repeating: 0, count: SeriesLack.allCases.count)
        var limiter = LogLimiter()
    }

    private let counters: [Counter]
    private let logger: Logger
    private let told = Mutex(Told())

    /// - Parameter name: of the counter, which has the reason as a label.
    package init(_ context: ComponentContext, _ name: String, help: String) {
        counters = SeriesLack.allCases.map { lack in
            context.registry.counter(
                name, help: help, labels: ["connector": context.name, "reason": lack.rawValue])
        }
        logger = context.logger
    }

    /// One more.
    package func add(_ lack: SeriesLack) {
        counters[lack.place].add(1)
        log(lack)
    }

    /// What `room` has noted so far.
    package func show(_ room: SeriesRoom) {
        let counts = room.overflowed
        let before = told.withLock { exchange(&$0.counts, with: counts) }
        guard counts != before else { return }
        for lack in SeriesLack.allCases where counts[lack.place] > before[lack.place] {
            counters[lack.place].add(counts[lack.place] - before[lack.place])
            log(lack)
        }
    }

    private func log(_ lack: SeriesLack) {
        guard let unsaid = told.withLock({ $0.limiter.admit(lack.message, at: .now()) }) else { return }
        logger.warning(
            "Counted in the series with otel.metric.overflow.",
            metadata: ["reason": "\(lack.message)", "unsaid": "\(unsaid)"])
    }
}

/// How much a part of a flush may write: a few milliseconds' work, and little memory beside the series.
package struct FlushPart {
    private var series: Int
    private var bytes = 1 << 20

    package init(series: Int = 1000) { self.series = series }

    package var hasRoom: Bool { series > 0 && bytes > 0 }

    /// Notes a series with so many bytes of labels.
    package mutating func add(_ labelBytes: Int) {
        series -= 1
        bytes -= labelBytes
    }

    /// Notes bytes beside a series.
    package mutating func add(others otherBytes: Int) { bytes -= otherBytes }
}

extension AttributeValue {
    /// About what it takes as a label.
    package var labelBytes: Int {
        switch self {
        case .empty, .bool, .int, .double: 8
        case .string(let bytes), .array(let bytes), .keyValueList(let bytes), .bytes(let bytes): bytes.count
        }
    }
}
