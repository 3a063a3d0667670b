import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("SendingQueue, batch")
struct SendingQueueBatchTests {
    private func rig(maxSize: Int = 0, waits: Bool = false) -> QueueRig {
        QueueRig { config, _ in
            config.queueSize = 5
            config.waitForResult = waits
            var batch = SendingQueueConfig.BatchSettings()
            batch.minSize = 10
            batch.maxSize = maxSize
            config.batch = batch
        }
    }

    @Test("requests leave together, and count towards queue_size, in its unit, until they are delivered")
    func gathers() {
        let rig = rig()
        for _ in 0..<4 { #expect(rig.offer(spans: 3) == nil) }
        #expect(rig.sender.calls.map(\.batch.items) == [12] && rig.queue.currentSize == 4)
        #expect(rig.offer(spans: 1) == nil)
        #expect(rig.offer(spans: 1)?.reason == .queueFull)
        rig.answer(.success)
        #expect(rig.queue.currentSize == 1 && rig.ends == [12, 0, 0])
        rig.loop.advanceTime(by: .milliseconds(200))
        rig.answer(.success)
        #expect(rig.queue.currentSize == 0 && rig.ends == [13, 0, 0])
    }

    @Test("with wait_for_result each client hears of its own request, split or merged")
    func perRequest() {
        let rig = rig(maxSize: 10, waits: true)
        for spans in [4, 12] { #expect(rig.offer(spans: spans) == nil) }
        #expect(rig.sender.calls.map(\.batch.items) == [10] && rig.answers.all.isEmpty)
        rig.loop.advanceTime(by: .milliseconds(200))
        rig.answer(.success)
        #expect(rig.answers.all == [.accepted])
        rig.answer(.permanent("no"))
        #expect(rig.answers.all.count == 2 && rig.ends == [10, 6, 0] && rig.queue.currentSize == 0)
        guard case .refused(let refusal) = rig.answers.all[1] else {
            Issue.record("the second client was told that its spans arrived")
            return
        }
        #expect(refusal.isPermanent)
    }

    @Test("what gathers when the gateway stops is sent at once, or counted")
    func stops() {
        let rig = rig()
        _ = rig.offer(spans: 3)
        rig.drain(until: .uptimeNanoseconds(1_000_000_000))
        #expect(rig.sender.calls.count == 1)
        rig.answer(.success)
        #expect(rig.leftover == 0 && rig.ends == [3, 0, 0])
    }
}

@Suite("SendingQueue, overflow and size")
struct SendingQueueOverflowTests {
    @Test("with block_on_overflow a full queue stops the reading instead of refusing what was read")
    func blocks() {
        let rig = QueueRig { config, _ in
            config.queueSize = 2
            config.numConsumers = 1
            config.blockOnOverflow = true
        }
        #expect(rig.offer(items: 1) == nil && !rig.queue.shouldPause)
        for _ in 0..<5 { #expect(rig.offer(items: 1) == nil && rig.queue.shouldPause) }
        for _ in 0..<5 { rig.answer(.success) }
        #expect(!rig.queue.shouldPause && rig.queue.admit(bytes: 1 << 30) == nil)
        rig.answer(.success)
        #expect(rig.ends == [6, 0, 0] && rig.queue.currentSize == 0)
        #expect(!QueueRig().queue.shouldPause)
    }

    @Test("what a batcher gives up at the end is in the number that the gateway logs and exits with")
    func droppedAtTheEnd() {
        let rig = QueueRig()
        rig.queue.drop(makeBatch(items: 3), because: Refusal(.queueFull, "full"))
        rig.queue.drop(makeBatch(items: 4), because: Refusal(.shuttingDown, "stopping"))
        rig.drain(until: .uptimeNanoseconds(1))
        #expect(rig.leftover == 4 && rig.ends == [0, 0, 7])
    }

    @Test("a batch above the destination's limit is sent in parts that are below it, none lost or doubled")
    func cuts() {
        let limit = 6000
        let rig = QueueRig(maxRequestBytes: limit) { config, _ in config.numConsumers = 1 }
        #expect(rig.offer(spans: 50) == nil && rig.queue.currentSize == 1)
        var items = 0
        while let call = rig.sender.calls.first {
            #expect(call.batch.bytes <= limit)
            items += call.batch.items
            rig.answer(.success)
        }
        #expect(items == 50 && rig.ends == [50, 0, 0] && rig.queue.currentSize == 0)
        #expect(rig.sender.attempts > 3 && rig.answers.all == [.accepted])
    }

    /// Scenario: the destination takes messages up to a size that nobody has configured.
    @Test(
        "a batch that the destination finds too large is halved until it fits; only an item too large by itself is lost",
        arguments: [300, 1500, 3000, 100_000])
    func halves(limit: Int) {
        let rig = QueueRig { config, _ in
            config.waitForResult = true
            config.numConsumers = 2
        }
        #expect(rig.offer(spans: 20) == nil)
        while let call = rig.sender.calls.first {
            rig.answer(call.batch.bytes > limit ? .tooLarge("larger than max") : .success)
        }
        #expect(rig.ends == (limit < 1000 ? [0, 20, 0] : [20, 0, 0]), "limit \(limit)")
        #expect(rig.queue.currentSize == 0 && rig.answers.all.count == 1)
    }

    @Test("what the destination will never take goes to on_permanent_failure; what may pass does not")
    func deadLetter() {
        let rig = QueueRig { config, retry in retry.enabled = false }
        let other = FakeConsumer()
        let counter = MetricRegistry().counter("dead", help: "", labels: [:])
        rig.queue.setDeadLetter(SendingQueue.DeadLetter(name: "file", consumer: other, counter: counter))
        for items in [1, 2, 4] { _ = rig.offer(items: items) }
        rig.answer(.permanent("no"))
        rig.answer(.down)
        #expect(other.takenItems == [1] && counter.value == 1 && rig.ends == [0, 3, 0])
        other.refusal = Refusal(.queueFull, "full")
        rig.answer(.permanent("no"))
        #expect(other.dropped.map(\.items) == [4] && counter.value == 5 && rig.ends == [0, 7, 0])
    }
}

@Suite("SendingQueue, storage")
struct SendingQueueStorageTests {
    private func rig(
        _ configure: (inout SendingQueueConfig, inout RetryConfig) -> Void = { _, _ in }
    ) -> (QueueRig, FakeStore) {
        let loop = EmbeddedEventLoop()
        let store = FakeStore(loop)
        return (QueueRig(loop: loop, store: store, configure), store)
    }

    @Test(
        "a client is told \"accepted\" when its data is stored, not before; it is sent after that, and then forgotten"
    )
    func order() {
        let (rig, store) = rig()
        #expect(rig.queue.answersLater)
        #expect(rig.offer(spans: 3) == nil && rig.sender.calls.isEmpty && rig.answers.all.isEmpty)
        store.answer()
        #expect(rig.answers.all == [.accepted] && rig.sender.calls.count == 1 && store.stored.count == 1)
        rig.answer(.down)
        #expect(store.stored.count == 1)
        rig.loop.advanceTime(by: .seconds(1))
        rig.answer(.success)
        #expect(store.stored.isEmpty && rig.ends == [3, 0, 0] && rig.queue.currentSize == 0)
    }

    @Test("a full disk refuses with an answer to try again, and the queue goes on when there is room")
    func diskFull() {
        let (rig, store) = rig()
        _ = rig.offer(spans: 3)
        let full = Refusal(.storage, "no room")
        store.answer(full)
        #expect(rig.answers.all == [.refused(full)] && rig.ends == [0, 0, 3] && rig.queue.currentSize == 0)
        _ = rig.offer(spans: 2)
        store.answer()
        rig.answer(.success)
        #expect(rig.answers.all.last == .accepted && rig.ends == [2, 0, 3])
    }

    /// A queue whose destination has just taken something.
    private func takingRig() -> (QueueRig, FakeStore) {
        let (rig, store) = rig()
        _ = rig.offer(spans: 1)
        store.answer()
        rig.answer(.success)
        return (rig, store)
    }

    /// If it failed, each request would cost the disk a write though the destination had it long before its turn.
    @Test("a destination that is quicker than the disk answers the client and spares the disk the work")
    func destinationFirst() {
        let (rig, store) = takingRig()
        _ = rig.offer(spans: 3)
        #expect(rig.sender.calls.count == 1 && rig.answers.all == [.accepted])
        rig.answer(.success)
        #expect(rig.answers.all == [.accepted, .accepted] && store.unneeded.count == 1)
        #expect(rig.ends == [4, 0, 0] && rig.queue.currentSize == 0)
        store.answer()
        #expect(store.stored.isEmpty && rig.answers.all.count == 2)
        // And the other way round.
        _ = rig.offer(spans: 2)
        store.answer()
        #expect(rig.answers.all.count == 3 && store.stored.count == 1)
        rig.answer(.down)
        // Not any more when the destination fails.
        _ = rig.offer(spans: 5)
        #expect(rig.sender.calls.isEmpty && rig.answers.all.count == 3)
        store.answer()
        #expect(rig.sender.calls.count == 1 && rig.answers.all.count == 4)
    }

    /// If it failed, a client would be told that its data is safe when nobody has it, or be refused and have it delivered.
    @Test("when the disk fails while a batch is sent, the client has the destination's answer")
    func diskFailsMeanwhile() {
        let fault = Refusal(.storage, "no room")
        let (rig, store) = takingRig()
        for _ in 0..<2 { _ = rig.offer(spans: 3) }
        store.answer(fault)
        store.answer(fault)
        #expect(rig.answers.all == [.accepted])
        rig.answer(.success)
        #expect(rig.answers.all == [.accepted, .accepted] && rig.ends == [4, 0, 0])
        // The destination may be all right: it is the disk that is asked first now.
        _ = rig.offer(spans: 7)
        #expect(rig.sender.calls.count == 1)
        store.answer(fault)
        #expect(rig.answers.all.last == .refused(fault) && rig.ends == [4, 0, 7])
        rig.answer(.permanent("no"))
        guard case .refused(let refusal)? = rig.answers.all.last else {
            Issue.record("accepted, and nobody has it")
            return
        }
        #expect(refusal.isPermanent && rig.ends == [4, 3, 7] && rig.queue.currentSize == 0)
        #expect(rig.answers.all.count == 4 && store.stored.isEmpty)
    }

    /// If it failed, a disk that hangs would fill the memory with what is delivered already.
    @Test("while the disk stands still, only so much is sent before it is stored")
    func diskStandsStill() {
        let (rig, store) = takingRig()
        var sent = 0
        for _ in 0..<40 {
            _ = rig.offer(items: 1, bytes: 1 << 20)
            guard !rig.sender.calls.isEmpty else { continue }
            sent += 1
            rig.answer(.success)
        }
        #expect(sent == 32 && rig.queue.currentSize == 8 && rig.answers.all.count == 33)
        while !store.writing.isEmpty { store.answer() }
        while !rig.sender.calls.isEmpty { rig.answer(.success) }
        #expect(rig.ends == [41, 0, 0] && rig.queue.currentSize == 0 && store.stored.isEmpty)
    }

    /// If it failed, what clients were told at the end would not be what became of their data.
    @Test(
        "when the gateway stops while a batch is written, the disk has the last word",
        arguments: [true, false])
    func stopsMeanwhile(isWritten: Bool) {
        let (rig, store) = takingRig()
        _ = rig.offer(spans: 3)
        rig.drain(until: .uptimeNanoseconds(1_000_000_000))
        rig.answer(.down)
        #expect(rig.answers.all == [.accepted] && rig.leftover == nil)
        let fault = Refusal(.storage, "no room")
        store.answer(isWritten ? nil : fault)
        #expect(rig.answers.all.last == (isWritten ? .accepted : .refused(fault)))
        #expect(rig.ends == [1, 0, isWritten ? 0 : 3] && rig.queue.currentSize == 0)
        #expect(rig.leftover == (isWritten ? 0 : 3) && store.stored.count == (isWritten ? 1 : 0))
    }

    /// Scenario: a batch is written and sent at once, in halves; one arrives; the gateway stops; the disk fails. If it
    /// failed, what arrived would be counted as lost, too.
    @Test("a disk fault at the end counts what nobody has, not what was delivered", arguments: [true, false])
    func stopsBetweenHalves(faultFirst: Bool) {
        let (rig, store) = rig { config, retry in
            config.numConsumers = 1
            var batch = SendingQueueConfig.BatchSettings()
            batch.minSize = 10
            batch.maxSize = 10
            config.batch = batch
        }
        _ = rig.offer(spans: 10)
        store.answer()
        rig.answer(.success)
        _ = rig.offer(spans: 20)
        #expect(rig.sender.calls.count == 1)
        rig.answer(.success)
        let fault = Refusal(.storage, "no room")
        if faultFirst { store.answer(fault) }
        rig.drain(until: .uptimeNanoseconds(1_000_000_000))
        rig.answer(.down)
        if !faultFirst { store.answer(fault) }
        #expect(rig.ends == [20, 0, 10] && rig.leftover == 10 && rig.queue.currentSize == 0)
        #expect(rig.answers.all == [.accepted, .refused(fault)])
    }

    /// As with a half that arrived: what was refused for good is counted as failed.
    @Test("a disk fault at the end does not count a dead letter as lost, too", arguments: [true, false])
    func stopsWithDeadLetter(faultFirst: Bool) {
        let (rig, store) = takingRig()
        let other = FakeConsumer()
        let counter = MetricRegistry().counter("dead", help: "", labels: [:])
        rig.queue.setDeadLetter(SendingQueue.DeadLetter(name: "file", consumer: other, counter: counter))
        _ = rig.offer(spans: 3)
        rig.answer(.permanent("no"))
        let fault = Refusal(.storage, "no room")
        if faultFirst { store.answer(fault) }
        rig.drain(until: .uptimeNanoseconds(1_000_000_000))
        other.taken[0].settle(.refused(Refusal(.shuttingDown, "stopping")))
        rig.loop.run()
        if !faultFirst { store.answer(fault) }
        #expect(rig.ends == [1, 3, 0] && rig.answers.all == [.accepted, .refused(fault)])
        #expect(rig.leftover == 0 && rig.queue.currentSize == 0)
    }

    @Test("what an earlier process left is sent, oldest first")
    func recovers() {
        let (rig, store) = rig { config, _ in config.numConsumers = 1 }
        for items in [1, 2, 4] { store.leave(makeBatch(items: items)) }
        let found = Noted(0)
        rig.queue.openStore().whenSuccess { found.value = $0 }
        rig.loop.run()
        #expect(found.value == 3 && rig.recovered.value == 7 && rig.queue.currentSize == 3)
        for items in [1, 2, 4] {
            #expect(rig.sender.calls.map(\.batch.items) == [items])
            rig.answer(.success)
        }
        #expect(store.stored.isEmpty && rig.ends == [7, 0, 0] && rig.queue.currentSize == 0)
    }

    @Test("merged and split batches: a stored request is forgotten when its last part is delivered")
    func gathers() {
        let (rig, store) = rig { config, _ in
            var batch = SendingQueueConfig.BatchSettings()
            batch.minSize = 10
            batch.maxSize = 10
            config.batch = batch
        }
        for spans in [4, 12] {
            _ = rig.offer(spans: spans)
            store.answer()
        }
        rig.loop.advanceTime(by: .milliseconds(200))
        #expect(rig.sender.calls.map(\.batch.items) == [10, 6] && store.stored.count == 2)
        rig.answer(.success)
        #expect(store.stored.count == 1)
        rig.answer(.success)
        #expect(store.stored.isEmpty && rig.ends == [16, 0, 0] && rig.queue.currentSize == 0)
    }

    @Test(
        "when the gateway stops, what is not delivered stays stored, is not counted as lost, and nobody waits"
    )
    func stops() {
        let (rig, store) = rig { config, _ in config.numConsumers = 2 }
        for items in 1...4 {
            _ = rig.offer(spans: items)
            store.answer()
        }
        rig.answer(.down)
        rig.drain(until: .uptimeNanoseconds(1_000_000_000))
        #expect(rig.sender.calls.count == 1 && rig.leftover == nil)
        rig.answer(.down)
        #expect(rig.leftover == 0 && rig.ends == [0, 0, 0] && store.stored.count == 4 && store.isClosed)
        #expect(rig.queue.currentSize == 0)
    }

    /// Scenario: one half of a stored request is given up after its last retry; the other half waits when the
    /// gateway stops. If it failed, that half would be deleted though nobody ever sent it.
    @Test("a part that waits when the gateway stops keeps its request stored, whatever became of the others")
    func stopsBetweenParts() {
        let (rig, store) = rig { config, retry in
            config.numConsumers = 1
            var batch = SendingQueueConfig.BatchSettings()
            batch.minSize = 10
            batch.maxSize = 10
            config.batch = batch
            retry.enabled = false
        }
        _ = rig.offer(spans: 20)
        store.answer()
        rig.answer(.down)
        #expect(rig.ends == [0, 10, 0])
        rig.drain(until: .uptimeNanoseconds(1_000_000_000))
        rig.answer(.down)
        #expect(rig.leftover == 0 && store.stored.count == 1)
    }

    /// If it failed, a crash at the wrong moment would lose what is stored here no more and there not yet.
    @Test("a dead letter stays stored until the other exporter has stored it; at that one's end, too")
    func deadLetterIsKept() {
        let (rig, store) = rig()
        let other = FakeConsumer()
        let counter = MetricRegistry().counter("dead", help: "", labels: [:])
        rig.queue.setDeadLetter(SendingQueue.DeadLetter(name: "file", consumer: other, counter: counter))
        for spans in [1, 2] {
            _ = rig.offer(spans: spans)
            store.answer()
            rig.answer(.permanent("no"))
        }
        #expect(other.takenItems == [1, 2] && store.stored.count == 2 && rig.ends == [0, 3, 0])
        other.taken[0].settle(.accepted)
        rig.loop.run()
        #expect(store.stored.count == 1)
        other.taken[1].settle(.refused(Refusal(.shuttingDown, "stopping")))
        rig.loop.run()
        #expect(store.stored.count == 1 && rig.queue.currentSize == 0)
        other.refusal = Refusal(.queueFull, "full")
        _ = rig.offer(spans: 4)
        store.answer()
        rig.answer(.permanent("no"))
        #expect(other.dropped.map(\.items) == [4] && store.stored.count == 1)
    }

    /// If it failed, clients of many tenants would lose what they were told is taken.
    @Test("more tenants than batch::partition holds at a time are sent in smaller batches, none is dropped")
    func manyTenants() {
        let (rig, store) = rig { config, _ in
            var batch = SendingQueueConfig.BatchSettings()
            batch.metadataKeys = ["x-tenant"]
            config.batch = batch
            config.queueSize = 10_000
            config.numConsumers = 4096
        }
        for tenant in 0..<2500 {
            _ = rig.offer(spans: 1, metadata: ClientMetadata([.init("x-tenant", "\(tenant)")]))
            store.answer()
        }
        #expect(rig.sender.calls.count == 1500 && rig.ends == [0, 0, 0])
        rig.loop.advanceTime(by: .milliseconds(200))
        while !rig.sender.calls.isEmpty { rig.sender.answer(.success) }
        rig.loop.run()
        #expect(rig.ends == [2500, 0, 0] && rig.queue.currentSize == 0 && store.stored.isEmpty)
    }

    /// If it failed, a batch would be sent by a queue that has let go of it, on connections that are closed.
    @Test("a retry that is due in the moment in which the gateway stops is not made")
    func stopsWhenRetryIsDue() {
        let (rig, store) = rig { _, retry in retry.initialInterval = .zero }
        _ = rig.offer(spans: 3)
        store.answer()
        rig.queue.beginDrain(until: .uptimeNanoseconds(1_000_000_000)).whenSuccess { _ in }
        rig.sender.answer(.down)
        rig.loop.run()
        #expect(rig.sender.attempts == 1 && rig.sender.isClosed && store.stored.count == 1)
    }

    @Test("beyond what memory holds, batches wait on disk only, in order, and come back")
    func spills() {
        let (rig, store) = rig { config, _ in config.numConsumers = 1 }
        let megabytes = 12
        for items in 1...6 {
            _ = rig.offer(items: items, bytes: megabytes << 20)
            store.answer()
        }
        var seen: [Int] = []
        while let call = rig.sender.calls.first {
            seen.append(call.batch.items)
            rig.answer(.success)
        }
        #expect(seen == [1, 2, 3, 4, 5, 6] && store.reads == 4 && store.stored.isEmpty)
        #expect(rig.ends == [21, 0, 0] && rig.queue.currentSize == 0)
    }
}
