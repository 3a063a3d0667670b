import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// An accumulator on a loop whose time the test moves.
private final class Rig {
    let loop = EmbeddedEventLoop()
    private(set) var accumulator: BatchAccumulator!
    private(set) var left: [(batch: Batch, weight: Int, trigger: BatchAccumulator.Trigger)] = []
    private(set) var rejected: [(batch: Batch, weight: Int)] = []

    /// How often a batch's time was over.
    private(set) var timesDue = 0

    init(minSize: Int, maxSize: Int = 0, _ configure: (inout BatchAccumulator.Limits) -> Void = { _ in }) {
        var limits = BatchAccumulator.Limits(timeout: .milliseconds(200), minSize: minSize, maxSize: maxSize)
        configure(&limits)
        accumulator = BatchAccumulator(
            limits, signal: .traces, eventLoop: loop,
            whenDue: { [unowned self] send in
                timesDue += 1
                send()
            },
            emit: { [unowned self] in left.append(($0, $1, $2)) })
    }

    func append(spans: Int, weight: Int = 1, tenant: String? = nil) {
        let payload = Payload(ByteBuffer(bytes: RequestBuilder.makeTraces(spans: spans)))
        payload.metadata = tenant.map { ClientMetadata([.init("x-tenant", $0)]) }
        let batch = Batch(.traces, payload: payload, items: spans)
        accumulator.append(batch, weight: weight) { rejected.append(($0, $1)) }
    }
}

@Suite("BatchAccumulator")
struct BatchAccumulatorTests {
    @Test("sizes in bytes hold as sizes in items do: enough leaves, more than max_size is split")
    func bytes() {
        let one = RequestBuilder.makeTraces(spans: 10).count
        let rig = Rig(minSize: 3 * one, maxSize: 3 * one) { $0.sizer = .bytes }
        for _ in 0..<2 { rig.append(spans: 10) }
        #expect(rig.left.isEmpty)
        rig.append(spans: 12)
        #expect(rig.left.count == 1 && rig.left.allSatisfy { $0.batch.bytes <= 3 * one })
        rig.loop.advanceTime(by: .milliseconds(200))
        #expect(rig.left.reduce(0) { $0 + $1.batch.items } == 32)
        #expect(rig.left.map(\.trigger) == [.size, .timeout])
    }

    @Test("room in a queue is given back exactly, however batches are merged and split", arguments: 1..<40)
    func weights(maxSize: Int) {
        let rig = Rig(minSize: maxSize / 2, maxSize: maxSize)
        for spans in 1..<30 { rig.append(spans: spans, weight: spans % 7) }
        rig.accumulator.flush()
        #expect(rig.left.reduce(0) { $0 + $1.weight } == (1..<30).reduce(0) { $0 + $1 % 7 })
        #expect(rig.left.reduce(0) { $0 + $1.batch.items } == (1..<30).reduce(0, +))
        #expect(rig.left.allSatisfy { $0.weight >= 0 && $0.batch.items <= maxSize })
    }

    /// A processor that has just stopped would be called, though it is gone: the gateway crashes when it stops under load.
    @Test(
        "a batch that leaves at the moment at which its time is over is not due once more, nor is the next one early"
    )
    func cancelledWhenDue() {
        let rig = Rig(minSize: 10)
        rig.loop.scheduleTask(in: .milliseconds(200)) {
            rig.accumulator.flush()
            rig.append(spans: 5)
        }
        rig.append(spans: 4)
        rig.loop.advanceTime(by: .milliseconds(200))
        #expect(rig.left.map(\.batch.items) == [4] && rig.timesDue == 0)
        rig.loop.advanceTime(by: .milliseconds(199))
        #expect(rig.left.map(\.batch.items) == [4] && rig.timesDue == 0)
        rig.loop.advanceTime(by: .milliseconds(1))
        #expect(rig.left.map(\.batch.items) == [4, 5] && rig.timesDue == 1)
    }

    @Test("tenants do not share batches, and one that is full does not send the others' early")
    func partitions() {
        let rig = Rig(minSize: 10) { $0.metadataKeys = ["x-tenant"] }
        for tenant in ["a", "b", nil, "a"] as [String?] { rig.append(spans: 4, tenant: tenant) }
        #expect(rig.left.isEmpty)
        rig.append(spans: 4, tenant: "a")
        #expect(rig.left.map(\.batch.items) == [12])
        rig.loop.advanceTime(by: .milliseconds(200))
        #expect(rig.left.map(\.batch.items).sorted() == [4, 4, 12])
        for (batch, _, _) in rig.left {
            #expect(Set(batch.slices.map { $0.payload.metadata?["x-tenant"] }).count == 1)
        }
    }

    @Test("more tenants than the limit are refused while the others wait, and taken when those have left")
    func combinations() {
        let rig = Rig(minSize: 10) {
            $0.metadataKeys = ["x-tenant"]
            $0.combinationsMax = 2
        }
        for tenant in ["a", "b", "c"] { rig.append(spans: 4, weight: 5, tenant: tenant) }
        #expect(rig.rejected.map(\.weight) == [5] && rig.rejected.map(\.batch.items) == [4])
        rig.loop.advanceTime(by: .milliseconds(200))
        rig.append(spans: 10, tenant: "c")
        #expect(rig.rejected.count == 1 && rig.left.map(\.batch.items) == [4, 4, 10])
    }

    @Test("without anybody to refuse them, too many tenants make the one that waits longest leave early")
    func makesRoom() {
        let rig = Rig(minSize: 10) {
            $0.metadataKeys = ["x-tenant"]
            $0.combinationsMax = 2
            $0.makesRoom = true
        }
        var waiting: [String] = []
        for tenant in ["a", "b", "c", "a", "b"] {
            rig.append(spans: 4, tenant: tenant)
            waiting = Array((waiting.filter { $0 != tenant } + [tenant]).suffix(2))
            #expect(rig.accumulator.combinations == waiting.count)
        }
        let tenants = rig.left.map { $0.batch.slices[0].payload.metadata?["x-tenant"] }
        #expect(rig.rejected.isEmpty && tenants == ["a", "b", "c"] && rig.left.map(\.weight) == [1, 1, 1])
        // Tenants that come and go are forgotten.
        for number in 0..<1000 { rig.append(spans: 10, tenant: "\(number)") }
        rig.loop.advanceTime(by: .milliseconds(200))
        #expect(rig.accumulator.combinations == 0)
        #expect(rig.left.reduce(0) { $0 + $1.batch.items } == 5 * 4 + 1000 * 10)
    }

    @Test("what a client says about itself is found by name, whatever else it says")
    func metadata() {
        let metadata = ClientMetadata(header: [
            (":method", "POST"), (":authority", "gateway:4317"), ("x-scope-orgid", "one"),
            ("x-scope-orgid", "two"),
        ])
        #expect(metadata["x-scope-orgid"] == "one" && metadata.values("x-scope-orgid") == ["one", "two"])
        #expect(metadata["host"] == "gateway:4317" && metadata[":method"] == nil && metadata["x"] == nil)
    }
}
