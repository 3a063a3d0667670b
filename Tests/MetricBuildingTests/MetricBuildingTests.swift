import MetricBuilding
import NIOCore
import OTLP
import TestSupport
import Testing

@Suite("MetricBuilding")
struct MetricBuildingTests {
    /// Otherwise backends would refuse what connectors send.
    @Test("what is written is a valid request that says what was meant")
    func request() throws {
        var attributes = AttributeList()
        attributes.add("a", "x")
        attributes.add("n", 5 as Int64)
        attributes.add("b", true)
        var request = MetricRequest()
        request.beginResource(attributes)
        request.beginScope("s")
        request.beginMetric("sum", unit: "1", .sum(.delta, isMonotonic: true))
        let exemplar = MetricExemplar(
            value: 1, time: 2, traceID: Array(repeating: 1, count: 16), spanID: Array(repeating: 2, count: 8))
        request.number(.int(-3), attributes, start: 1, time: 2, exemplars: [exemplar])
        request.number(.double(0.5), AttributeList(), time: 2)
        request.beginMetric("h", .histogram(.cumulative))
        request.histogram(counts: [1, 0, 2] as [UInt64], bounds: [1, 2], sum: 9, attributes, time: 3)
        request.beginMetric("e", .exponentialHistogram(.delta))
        var exponential = ExponentialHistogram(sizeMax: 4)
        exponential.add(1)
        request.exponential(exponential, attributes, time: 3)
        request.beginResource()
        request.beginScope("t")
        request.beginMetric("g", .gauge)
        request.number(.int(1), AttributeList(), time: 1)
        #expect(request.points == 5)
        let bytes = request.finish()
        let summary = try bytes.withUnsafeReadableBytes { try summarize($0, as: .metrics) }
        #expect(summary.items == 5 && summary.resources == 2)
        #expect(
            MetricLines.read(bytes) == [
                "sum{a=x,n=5,b=true} -3", "sum{} 0.5", "h{a=x,n=5,b=true} n=3 sum=9.0 [0:1 2:2]",
                "e{a=x,n=5,b=true} n=1 zero=0 scale=20", "g{} 1",
            ])
    }

    /// Otherwise percentiles of exponential histograms would be those of other values.
    @Test("every value is in the bucket that its scale says", arguments: [4, 20, 160])
    func exponential(size: Int) {
        var histogram = ExponentialHistogram(sizeMax: size)
        var random = SeededRandom(seed: 7)
        var values: [Double] = [1, 2, 4, 0.5, 1024, 3]
        for _ in 0..<500 { values.append(Double(random.below(1_000_000) + 1) / 997) }
        for value in values { histogram.add(value) }
        #expect(histogram.counts.count <= size && histogram.counts.reduce(0, +) == UInt64(values.count))
        var expected = [UInt64](repeating: 0, count: histogram.counts.count)
        for value in values {
            for place in expected.indices {
                let base = Double(histogram.offset) + Double(place)
                let width =
                    1
                    / (histogram.scale >= 0
                        ? Double(1 << histogram.scale) : 1 / Double(1 << -histogram.scale))
                let (low, high) = (exponent(base * width), exponent((base + 1) * width))
                if value > low, value <= high { expected[place] += 1 }
            }
        }
        #expect(histogram.counts == expected)
    }

    private func exponent(_ power: Double) -> Double {
        // Exact for whole powers, which are the bounds that values fall on.
        power == power.rounded()
            ? Double(sign: .plus, exponent: Int(power), significand: 1) : pow2(power)
    }

    private func pow2(_ power: Double) -> Double {
        let whole = power.rounded(.down)
        var (result, step, rest) = (1.0, 1.4142135623730951, power - whole)
        for _ in 0..<52 {
            rest *= 2
            if rest >= 1 {
                result *= step
                rest -= 1
            }
            step = step.squareRoot()
        }
        return Double(sign: .plus, exponent: Int(whole), significand: 1) * result
    }

    /// Otherwise one strange clock would poison a histogram.
    @Test("what is no positive number counts as zero")
    func zeros() {
        var histogram = ExponentialHistogram(sizeMax: 10)
        for value in [0, -1, .nan, .infinity, 2] { histogram.add(value) }
        #expect(histogram.zeroCount == 4 && histogram.count == 5 && histogram.sum == 2)
        #expect(histogram.min == 0 && histogram.max == 2)
    }
}
