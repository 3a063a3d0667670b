import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// Without these a backend that goes takes with it what it had not delivered, or counts it twice.
@Suite("SendingQueue, handing over")
struct HandingOverTests {
    private func handOver(_ rig: QueueRig, to successor: FakeConsumer) -> Noted<Bool> {
        let ended = Noted(false)
        rig.queue.handOver { batch in
            if let refusal = successor.consume(batch) { successor.drop(batch, because: refusal) }
        }.whenSuccess { ended.value = true }
        rig.loop.run()
        return ended
    }

    @Test("what waits goes at once, what waits for another attempt too; what is under way may arrive first")
    func everything() {
        let rig = QueueRig { config, _ in config.numConsumers = 3 }
        for items in 1...5 { #expect(rig.offer(items: items) == nil) }
        rig.answer(.down)  // 1 waits for another attempt; 2 and 3 are under way; 4 and 5 wait.
        let successor = FakeConsumer()
        let ended = handOver(rig, to: successor)
        #expect(successor.takenItems.sorted() == [1, 4, 5] && !ended.value)
        rig.answer(.success)
        #expect(rig.ends == [2, 0, 0])
        rig.answer(.down)
        #expect(successor.takenItems.sorted() == [1, 3, 4, 5])
        #expect(ended.value && rig.queue.currentSize == 0 && rig.sender.isClosed)
        // The time of the attempt that was called off.
        rig.loop.advanceTime(by: .seconds(60))
        #expect(rig.sender.attempts == 3 && rig.ends == [2, 0, 0])
        #expect(rig.offer(items: 1)?.reason == .shuttingDown)
    }

    @Test("with wait_for_result the successor owes the answer")
    func awaited() {
        let rig = QueueRig { config, _ in config.waitForResult = true }
        #expect(rig.offer(items: 2) == nil)
        rig.answer(.down)
        let successor = FakeConsumer()
        let ended = handOver(rig, to: successor)
        #expect(ended.value && rig.answers.all.isEmpty)
        successor.taken[0].settle(.accepted)
        #expect(rig.answers.all == [.accepted])
    }

    @Test("what gathers for a batch goes, too")
    func gathering() {
        let rig = QueueRig { config, _ in config.batch = SendingQueueConfig.BatchSettings() }
        #expect(rig.offer(spans: 3) == nil)
        let successor = FakeConsumer()
        #expect(
            handOver(rig, to: successor).value && successor.takenItems == [3] && rig.queue.currentSize == 0)
    }

    @Test("when the gateway stops meanwhile the attempts under way are the last")
    func stops() {
        let rig = QueueRig()
        #expect(rig.offer(items: 2) == nil)
        let successor = FakeConsumer()
        let ended = handOver(rig, to: successor)
        rig.drain(until: .uptimeNanoseconds(1_000_000_000))
        rig.answer(.down)
        #expect(ended.value && rig.leftover == 2 && successor.taken.isEmpty && rig.ends == [0, 2, 0])
    }
}
