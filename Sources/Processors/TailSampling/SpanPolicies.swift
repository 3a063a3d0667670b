// Policies that look at spans and resources.

internal import NIOCore
internal import OTLP
internal import RegularExpression
internal import Statements
internal import TraceStore

final class AlwaysSample: SamplingPolicy {
    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict { .sampled }
}

/// How long a trace took, from the first start to the last end, as far as the spans seen so far say: looked at span after
/// span, as the Collector does.
final class Latency: SamplingPolicy {
    private let thresholdMilliseconds: Int64
    /// 0 for none.
    private let upperMilliseconds: Int64

    init(thresholdMilliseconds: Int, upperMilliseconds: Int) {
        self.thresholdMilliseconds = Int64(thresholdMilliseconds)
        self.upperMilliseconds = Int64(upperMilliseconds)
    }

    var usesSummary: Bool { true }

    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        let summary = trace.summary
        // What grows only is long enough at some moment if it is at the end. Where a span has no start, it may shrink.
        if upperMilliseconds == 0, summary.isTimed {
            return Verdict(Self.milliseconds(summary.start, summary.end) >= thresholdMilliseconds)
        }
        var first: UInt64 = 0
        var last: UInt64 = 0
        return Verdict(
            trace.containsSpan { span in
                let span = SpanFields(span)
                if first == 0 || span.startTime < first { first = span.startTime }
                if last == 0 || span.endTime > last { last = span.endTime }
                let milliseconds = Self.milliseconds(first, last)
                guard upperMilliseconds != 0 else { return milliseconds >= thresholdMilliseconds }
                return thresholdMilliseconds < milliseconds && milliseconds <= upperMilliseconds
            })
    }

    /// Clocks that are off by years make no difference that does not fit.
    private static func milliseconds(_ first: UInt64, _ last: UInt64) -> Int64 {
        last >= first ? Int64((last - first) / 1_000_000) : -Int64((first - last) / 1_000_000)
    }
}

final class StatusCode: SamplingPolicy {
    private let codes: UInt8

    /// - Parameter codes: numbers of `StatusCode`.
    init(codes: Set<UInt64>) { self.codes = codes.reduce(0) { $0 | SpanSummary.bit($1) } }

    var usesSummary: Bool { true }

    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        Verdict(trace.summary.statuses & codes != 0)
    }
}

/// A value of an attribute of a span or of its resource. Inverted: no span and no resource has such a value.
final class AttributeMatch: SamplingPolicy {
    enum Test {
        /// A whole number between the two; what is no whole number counts as 0, as in the Collector. Nil matches nothing.
        case number(ClosedRange<Int64>?)
        /// What is no boolean counts as false.
        case bool(Bool)
        case text(Set<[UInt8]>)
        case pattern([RegularExpression])
    }

    private let key: AttributeKey
    private let test: Test
    private let isInverted: Bool

    init(_ key: String, _ test: Test, isInverted: Bool) {
        self.key = AttributeKey(key)
        self.test = test
        self.isInverted = isInverted
    }

    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        let isFound = trace.contains { resource in
            resource.attribute(key, in: Field.Resource.attributes).map { matches($0, isSpan: false) } ?? false
        } orSpan: { span in
            span.attribute(key, in: Field.Span.attributes).map { matches($0, isSpan: true) } ?? false
        }
        return Verdict(isFound != isInverted)
    }

    private func matches(_ value: AttributeValue, isSpan: Bool) -> Bool {
        switch test {
        case .number(let range):
            guard let range else { return false }
            if case .int(let number) = value { return range.contains(number) }
            return range.contains(0)
        case .bool(let wanted):
            if case .bool(let found) = value { return found == wanted }
            return !wanted
        case .text(let texts):
            guard case .string(let text) = value, text.count > 0 else { return false }
            return texts.contains(text.array)
        case .pattern(let patterns):
            var text = ""
            if case .string(let found) = value { text = found.text }
            // An empty text of a span matches nothing, one of a resource what matches nothing at all.
            if isSpan, text.isEmpty { return false }
            return patterns.contains { $0.occurs(in: text) }
        }
    }
}

/// A member of a span's `tracestate`. One that breaks W3C's rules anywhere has none.
final class TraceStateMatch: SamplingPolicy {
    private let key: String
    private let values: Set<String>

    init(key: String, values: [String]) {
        self.key = key
        // Key and value of a member have no more than 256 bytes together.
        self.values = Set(values.filter { !$0.isEmpty && key.utf8.count + $0.utf8.count < 256 })
    }

    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        Verdict(
            trace.containsSpan { span in
                let state = span.message(Field.Span.traceState)
                guard state.count > 0, let members = TraceState.members(state) else { return false }
                return members.contains { $0.key == key && values.contains($0.value) }
            })
    }
}

/// Whether a span's flags say that a head sampler took it.
final class TraceFlags: SamplingPolicy {
    func decide(_ trace: TraceView, now: NIODeadline) -> Verdict {
        Verdict(
            trace.containsSpan { span in
                for field in span.fields where field.number == Field.Span.flags && field.bits & 1 != 0 {
                    return true
                }
                return false
            })
    }
}
