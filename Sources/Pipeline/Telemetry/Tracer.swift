import Synchronization

/// One finished piece of the gateway's own work.
package struct OwnSpan: Sendable {
    /// How it stands to others (`SpanKind` of OTLP, whose numbers these are).
    package enum Kind: Int64, Sendable {
        case server = 2
        case client = 3
    }

    package let name: String
    package let kind: Kind
    package let trace: OwnTraceID
    package let id: UInt64
    /// 0: none.
    package let parent: UInt64
    package let startNanoseconds: Int64
    package fileprivate(set) var endNanoseconds: Int64
    package fileprivate(set) var attributes: [(key: String, value: OwnValue)]
    /// What went wrong; nil when nothing did.
    package fileprivate(set) var error: String?
}

/// 16 bytes, never all zero.
package struct OwnTraceID: Sendable, Hashable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// The value of an attribute of the gateway's own telemetry.
package enum OwnValue: Sendable, Equatable {
    case text(String)
    case whole(Int64)
}

/// Makes spans about the gateway's own work, for a share of it, and hands finished ones on. Any thread.
///
/// What is not sampled costs one atomic addition; without a tracer there is not even that.
package final class Tracer: Sendable {
    /// A span that has begun.
    package struct Open: Sendable {
        fileprivate var span: OwnSpan
    }

    /// So many are sampled whatever the ratio: who looks for the first time sees something.
    private let always: UInt64
    private let threshold: UInt64
    private let followsParent: Bool
    /// Whether receivers read `traceparent`.
    package let continuesTraces: Bool
    /// Sent with the gateway's own telemetry, so that it makes no spans about that when it comes back.
    package let instance: String
    private let clock: @Sendable () -> Int64
    private let count = Atomic<UInt64>(0)
    private let seed: UInt64
    private let record: @Sendable (OwnSpan) -> Void

    /// The header that names the instance whose telemetry a request holds.
    package static let instanceHeader: StaticString = "sluice-instance"

    /// - Parameters:
    ///   - ratio: the share of spans without a parent that are kept, from 0 to 1.
    ///   - followsParent: whether a caller that has decided for its trace has decided for ours.
    ///   - always: kept beside those, from the start.
    ///   - record: gets what has ended; must not block.
    package init(
        ratio: Double, followsParent: Bool = true, continuesTraces: Bool = false, always: UInt64 = 0,
        instance: String = "", clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds,
        record: @escaping @Sendable (OwnSpan) -> Void
    ) {
        threshold = ratio >= 1 ? .max : UInt64(max(0, ratio) * 0x1p64)
        self.followsParent = followsParent
        self.continuesTraces = continuesTraces
        self.always = always
        self.instance = instance
        self.clock = clock
        self.record = record
        seed = .random(in: 0 ... .max)
    }

    /// Begins a span, if this one is to be kept.
    ///
    /// - Parameters:
    ///   - name: asked for only then.
    ///   - parent: the text of `traceparent` (W3C Trace Context); nil, or anything else, is no parent.
    package func begin(
        _ name: @autoclosure () -> String, _ kind: OwnSpan.Kind, parent text: @autoclosure () -> String? = nil
    ) -> Open? {
        let number = count.wrappingAdd(1, ordering: .relaxed).oldValue
        let parent = continuesTraces ? text().flatMap { TraceParent($0) } : nil
        if followsParent, let parent {
            guard parent.isSampled else { return nil }
        } else {
            let hash = Self.mixed(seed &+ number)
            guard number < always || threshold == .max || hash < threshold else { return nil }
        }
        let random = UInt64.random(in: 1 ... .max)
        let trace = parent?.trace ?? OwnTraceID(high: .random(in: 0 ... .max), low: .random(in: 1 ... .max))
        return Open(
            span: OwnSpan(
                name: name(), kind: kind, trace: trace, id: random, parent: parent?.id ?? 0,
                startNanoseconds: clock(), endNanoseconds: 0, attributes: []))
    }

    /// Ends a span.
    package func end(_ open: Open, _ attributes: [(key: String, value: OwnValue)], error: String? = nil) {
        var span = open.span
        span.endNanoseconds = max(clock(), span.startNanoseconds)
        span.attributes = attributes
        span.error = error
        record(span)
    }

    /// Spreads consecutive numbers over all 64 bits.
    private static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = (value &* 0x9E37_79B9_7F4A_7C15) ^ (value >> 31)
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// `traceparent`: version, trace, parent, flags in hexadecimal, joined by dashes.
struct TraceParent: Equatable {
    let trace: OwnTraceID
    let id: UInt64
    let isSampled: Bool

    /// nil when the text is none that the specification allows to be used (W3C Trace Context §3.2.2).
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0].utf8.count == 2, parts[1].utf8.count == 32,
            parts[2].utf8.count == 16,
            parts[3].utf8.count == 2, let version = Self.number(parts[0]), version != 0xFF,
            version != 0 || parts.count == 4, let high = Self.number(parts[1].prefix(16)),
            let low = Self.number(parts[1].suffix(16)), let id = Self.number(parts[2]),
            let flags = Self.number(parts[3]), high != 0 || low != 0, id != 0
        else { return nil }
        trace = OwnTraceID(high: high, low: low)
        self.id = id
        isSampled = flags & 1 == 1
    }

    /// Small letters only, and no sign.
    private static func number(_ text: Substring) -> UInt64? {
        guard
            text.utf8.allSatisfy({
                $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") && !(0x41...0x5A).contains($0)
            })
        else { return nil }
        return UInt64(text, radix: 16)
    }
}
