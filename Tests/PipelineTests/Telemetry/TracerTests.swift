import Synchronization
import Testing

@testable import Pipeline

/// Without these an operator who asks for one request in a hundred pays for all, or follows a trace that ends at the door.
@Suite struct TracerTests {
    private final class Kept: Sendable {
        let spans = Mutex<[OwnSpan]>([])
    }

    private func tracer(
        ratio: Double, followsParent: Bool = true, continuesTraces: Bool = false, always: UInt64 = 0
    ) -> (Tracer, Kept) {
        let kept = Kept()
        let times = Atomic<Int64>(1000)
        let tracer = Tracer(
            ratio: ratio, followsParent: followsParent, continuesTraces: continuesTraces, always: always,
            clock: { times.wrappingAdd(5, ordering: .relaxed).newValue },
            record: { span in kept.spans.withLock { $0.append(span) } })
        return (tracer, kept)
    }

    @Test(arguments: [(0.0, 0...0), (0.01, 50...150), (0.5, 4500...5500), (1.0, 10_000...10_000)])
    func aShareIsKept(ratio: Double, count: ClosedRange<Int>) {
        let (tracer, _) = tracer(ratio: ratio)
        let kept = (0..<10_000).count { _ in tracer.begin("a", .server) != nil }
        #expect(count.contains(kept), "\(kept)")
    }

    /// Guarantees: who looks at a quiet gateway sees its first requests.
    @Test func theFirstAreKept() {
        let (tracer, _) = tracer(ratio: 0, always: 3)
        #expect((0..<5).map { _ in tracer.begin("a", .server) != nil } == [true, true, true, false, false])
    }

    @Test func aSpanHasTimesAttributesAndAnError() throws {
        let (tracer, kept) = tracer(ratio: 1)
        let open = try #require(tracer.begin("work", .client))
        tracer.end(open, [("n", .whole(3))], error: "no")
        let span = try #require(kept.spans.withLock { $0.first })
        #expect(span.name == "work" && span.kind == .client && span.parent == 0 && span.id != 0)
        #expect(span.startNanoseconds == 1005 && span.endNanoseconds == 1010 && span.error == "no")
        #expect(span.attributes.map(\.key) == ["n"])
    }

    private static let trace = "0af7651916cd43dd8448eb211c80319c"

    /// Guarantees: the caller's decision holds, in its trace.
    @Test func aCallersTraceGoesOn() throws {
        let (tracer, kept) = tracer(ratio: 0, continuesTraces: true)
        #expect(tracer.begin("a", .server, parent: "00-\(Self.trace)-b7ad6b7169203331-00") == nil)
        let open = try #require(
            tracer.begin("a", .server, parent: "00-\(Self.trace)-b7ad6b7169203331-01"))
        tracer.end(open, [])
        let span = try #require(kept.spans.withLock { $0.first })
        #expect(span.trace == OwnTraceID(high: 0x0af7_6519_16cd_43dd, low: 0x8448_eb21_1c80_319c))
        #expect(span.parent == 0xb7ad_6b71_6920_3331)
    }

    @Test func withoutThePropagatorNobodyIsAsked() {
        let (tracer, _) = tracer(ratio: 0)
        #expect(tracer.begin("a", .server, parent: "00-\(Self.trace)-b7ad6b7169203331-01") == nil)
    }

    @Test(arguments: [
        "", "00", "00-\(trace)-b7ad6b7169203331", "ff-\(trace)-b7ad6b7169203331-01",
        "00-\(trace)-b7ad6b7169203331-01-x", "00-\(trace)-0000000000000000-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-\(trace)-B7AD6B7169203331-01",
        "00-\(trace)-+7ad6b7169203331-01", "00-\(trace.dropLast())-b7ad6b7169203331-01",
        "0-\(trace)-b7ad6b7169203331-01", "00-\(trace)-b7ad6b7169203331-1",
    ])
    func anythingElseIsNoParent(text: String) {
        #expect(TraceParent(text) == nil)
    }

    @Test func aLaterVersionMayHaveMore() {
        #expect(TraceParent("01-\(Self.trace)-b7ad6b7169203331-01-more")?.isSampled == true)
    }

    /// Guarantees: the page with the last spans is bounded and tells quick, slow and failed ones apart.
    @Test func theLogKeepsTheLast() throws {
        let log = TraceLog()
        let times = Atomic<Int64>(0)
        let tracer = Tracer(
            ratio: 1, clock: { times.wrappingAdd(20_000, ordering: .relaxed).newValue },
            record: { log.add($0) })
        for index in 0..<25 {
            tracer.end(tracer.begin("a", .server)!, [], error: index == 0 ? "no" : nil)
        }
        let entry = try #require(log.names.first { $0.name == "a" }?.entry)
        // 20 µs each: the bucket from 10 to 100 µs.
        #expect(entry.buckets.map(\.count) == [0, 24, 0, 0, 0, 0, 0, 0, 0])
        #expect(entry.buckets[1].spans.count == 10 && entry.errors.count == 1)
        #expect(
            TraceLog.bucketNanoseconds == [
                0, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000,
                100_000_000_000,
            ])
    }
}
