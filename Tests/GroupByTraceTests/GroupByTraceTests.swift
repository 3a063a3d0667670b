import Configuration
import Dispatch
import GroupByTrace
import NIOCore
import NIOEmbedded
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("groupbytrace")
struct GroupByTraceTests {
    private func request(_ traces: [UInt8], _ acknowledgement: Acknowledgement? = nil) -> Batch {
        var request = ProtoWriter()
        request.message(1) {
            $0.message(2) { scope in
                for trace in traces { scope.message(2) { $0.field(1, Array(repeating: trace, count: 16)) } }
            }
        }
        return Batch(
            .traces, payload: Payload(ByteBuffer(bytes: request.bytes)), items: traces.count,
            acknowledgement: acknowledgement)
    }

    private func make(_ yaml: String) -> (EmbeddedEventLoop, FakeConsumer, GroupByTrace, ComponentContext) {
        let loop = EmbeddedEventLoop()
        let next = FakeConsumer()
        let config = GroupByTraceConfig(ConfigSection(yaml: yaml, diagnostics: Diagnostics()))
        let context = ComponentContext.alone(.processor, "groupbytrace", on: loop)
        return (loop, next, GroupByTrace(config, context, next: PipelineInput(next)), context)
    }

    /// Otherwise whoever needs whole traces behind it would get pieces.
    @Test("spans of a trace leave together when its time has come; late ones by themselves")
    func groups() {
        let (loop, next, processor, context) = make("wait_duration: 300ms")
        #expect(processor.consume(request([1, 2, 1])) == nil)
        loop.run()
        #expect(processor.consume(request([2, 2])) == nil)
        loop.advanceTime(by: .milliseconds(299))
        #expect(next.taken.isEmpty)
        loop.advanceTime(by: .milliseconds(1))
        #expect(next.takenItems == [2, 3])
        #expect(processor.consume(request([1])) == nil)
        loop.advanceTime(by: .seconds(1))
        #expect(next.takenItems == [2, 3, 1] && context.account.read().inside == 0)
    }

    /// Otherwise clients that are answered at once would be refused as soon as they send faster than traces are sorted.
    @Test("a client is answered when its spans are sorted")
    func pacing() async throws {
        // Its own: a loop that is held is nobody else's.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let next = FakeConsumer()
        let context = ComponentContext.alone(.processor, "groupbytrace", on: loop)
        let processor = GroupByTrace(GroupByTraceConfig(), context, next: PipelineInput(next))
        #expect(processor.input.isAnsweredWhenSettled)
        let answers = Answers()
        let gate = DispatchSemaphore(value: 0)
        loop.execute { gate.wait() }
        let refusal = processor.consume(request([1, 2], answers.acknowledgement()))
        let before = answers.all
        gate.signal()
        #expect(refusal == nil && before.isEmpty)
        // Runs behind what was posted.
        try await loop.submit {}.get()
        #expect(answers.all == [.accepted])
        _ = await processor.stop(until: .now())
        try await group.shutdownGracefully()
    }

    /// Takes everything and has it until it is told to forget it.
    private final class Holder: Consumer {
        private let held = Noted<[Batch]>([])

        var count: Int { held.value.count }

        func consume(_ batch: Batch) -> Refusal? {
            batch.seal()
            batch.enter()
            held.change { $0.append(batch) }
            return nil
        }

        func drop(_ batch: Batch, because refusal: Refusal) { batch.settle(.refused(refusal)) }

        func finish() {
            for batch in held.change({ exchange(&$0, with: []) }) { batch.settle(.accepted) }
        }
    }

    /// Otherwise up to 16 MiB would be charged for as long as no traces come: exporters give buffers back when all has left.
    @Test("buffers that come back after the last trace has left are given back")
    func keptBuffers() {
        let (loop, next, ledger) = (EmbeddedEventLoop(), Holder(), MemoryLedger())
        let context = ComponentContext.alone(.processor, "groupbytrace", on: loop, ledger: ledger)
        let processor = GroupByTrace(GroupByTraceConfig(), context, next: PipelineInput(next))
        #expect(processor.consume(request([1, 2, 1])) == nil)
        loop.advanceTime(by: .seconds(2))
        #expect(next.count == 2)
        next.finish()
        #expect(ledger.bytes > 0)
        loop.advanceTime(by: .seconds(11))
        #expect(ledger.bytes == 0)
    }

    /// Otherwise a flood of ids would take all memory, or a stop lose what waits.
    @Test("the oldest make room for new ones, and a stop hands everything on")
    func bounds() {
        let (loop, next, processor, _) = make("num_traces: 2")
        #expect(processor.consume(request([1, 2, 3])) == nil)
        loop.run()
        #expect(next.takenItems == [1])
        _ = processor.beginDrain(until: loop.now)
        loop.run()
        #expect(next.takenItems == [1, 1, 1])
        #expect(processor.consume(request([1]))?.reason == .shuttingDown)
    }

    /// Otherwise a configuration would promise what nobody does.
    @Test("what no version has is refused in the Collector's words")
    func orphans() {
        let diagnostics = Diagnostics()
        _ = GroupByTraceConfig(ConfigSection(yaml: "discard_orphans: true", diagnostics: diagnostics))
        #expect(diagnostics.render().contains("option 'discard orphans' not supported in this release"))
    }
}
