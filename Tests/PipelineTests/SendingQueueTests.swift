import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("SendingQueue")
struct SendingQueueTests {
    @Test(
        "queue_size bounds what waits, in the unit of its sizer, and room comes back",
        arguments: [(.requests, 3), (.items, 12), (.bytes, 300)] as [(SendingQueueConfig.Sizer, Int)])
    func full(sizer: SendingQueueConfig.Sizer, size: Int) {
        let rig = QueueRig { config, _ in
            config.sizer = sizer
            config.queueSize = size
            config.numConsumers = 1
        }
        for _ in 0..<3 { #expect(rig.offer(items: 4, bytes: 100) == nil) }
        #expect(rig.queue.currentSize == size && rig.queue.capacity == size)
        let refusal = rig.offer(items: 4, bytes: 100)
        #expect(
            refusal?.reason == .queueFull && refusal?.isPermanent == false
                && refusal?.retryAfterSeconds != nil)
        #expect(refusal?.message.contains("queue_size \(size) \(sizer)") == true)
        #expect(rig.queue.currentSize == size && rig.ends == [0, 0, 0])
        rig.answer(.success)
        #expect(rig.offer(items: 4, bytes: 100) == nil)
        for _ in 0..<3 { rig.answer(.success) }
        #expect(rig.queue.currentSize == 0 && rig.ends == [16, 0, 0] && rig.answers.all.count == 4)
    }

    @Test(
        "a batch larger than the whole queue is sent when nothing else waits, instead of being refused for ever",
        arguments: [SendingQueueConfig.Sizer.items, .bytes])
    func oversized(sizer: SendingQueueConfig.Sizer) {
        let rig = QueueRig { config, _ in
            config.sizer = sizer
            config.queueSize = 5
        }
        #expect(rig.offer(items: 50, bytes: 50) == nil)
        #expect(rig.offer(items: 1, bytes: 1)?.reason == .queueFull)
        rig.answer(.success)
        #expect(rig.offer(items: 1, bytes: 1) == nil)
        #expect(rig.offer(items: 50, bytes: 50)?.reason == .queueFull)
        #expect(rig.offer(items: 4, bytes: 4) == nil)
        #expect(rig.queue.currentSize == 5)
    }

    @Test("requests without items take room, too", arguments: SendingQueueConfig.Sizer.allCases)
    func weightless(sizer: SendingQueueConfig.Sizer) {
        let rig = QueueRig { config, _ in
            config.sizer = sizer
            config.queueSize = 2
        }
        #expect([0, 0, 0].map { rig.offer(items: $0, bytes: 0)?.reason } == [nil, nil, .queueFull])
        rig.answer(.success)
        rig.answer(.success)
        #expect(rig.queue.currentSize == 0)
    }

    @Test("at most num_consumers exports run at once, oldest first", arguments: [1, 2, 5])
    func consumers(count: Int) {
        let rig = QueueRig { config, _ in config.numConsumers = count }
        for items in 1...8 { #expect(rig.offer(items: items) == nil) }
        var seen: [Int] = []
        while !rig.sender.calls.isEmpty {
            #expect(rig.sender.calls.count == min(count, 8 - seen.count))
            seen.append(rig.sender.calls[0].batch.items)
            rig.answer(.success)
        }
        #expect(seen == Array(1...8) && rig.ends == [36, 0, 0])
    }

    @Test(
        "a slow destination is given `timeout` an attempt, none when it is 0", arguments: [0, 5] as [Int64])
    func timeout(seconds: Int64) {
        let rig = QueueRig(timeout: .seconds(seconds))
        rig.loop.advanceTime(by: .seconds(100))
        _ = rig.offer(items: 1)
        #expect(
            rig.sender.calls[0].deadline
                == (seconds == 0 ? .distantFuture : .uptimeNanoseconds(105_000_000_000)))
    }

    @Test("what fails for a while arrives: again after 1s, 2s, or when the destination wishes")
    func retries() {
        let rig = QueueRig()
        _ = rig.offer(items: 7)
        rig.answer(.down)
        rig.loop.advanceTime(by: .milliseconds(999))
        #expect(rig.sender.calls.isEmpty)
        rig.loop.advanceTime(by: .milliseconds(1))
        rig.answer(.down)
        rig.loop.advanceTime(by: .milliseconds(1999))
        #expect(rig.sender.calls.isEmpty)
        rig.loop.advanceTime(by: .milliseconds(1))
        rig.answer(.retryable("overloaded", after: .seconds(20)))
        rig.loop.advanceTime(by: .milliseconds(19_999))
        #expect(rig.sender.calls.isEmpty && rig.queue.currentSize == 1)
        rig.loop.advanceTime(by: .milliseconds(1))
        rig.answer(.success)
        #expect(rig.ends == [7, 0, 0] && rig.queue.currentSize == 0 && rig.sender.attempts == 4)
    }

    @Test("after max_elapsed_time data is given up, counted as failed, and its client told so")
    func exhausted() {
        let rig = QueueRig { config, retry in
            config.waitForResult = true
            retry.maxElapsedTime = .seconds(10)
        }
        _ = rig.offer(items: 7)
        for wait in [1, 2, 4] as [Int64] {
            rig.answer(.down)
            rig.loop.advanceTime(by: .seconds(wait))
        }
        #expect(rig.answers.all.isEmpty && rig.ends == [0, 0, 0])
        rig.answer(.down)
        #expect(rig.answers.all == [.refused(Refusal(.retriesExhausted, "connection refused"))])
        #expect(rig.ends == [0, 7, 0] && rig.queue.currentSize == 0)
    }

    @Test("data that waited long for its turn is tried as long as data that did not")
    func waitingIsNotTrying() {
        let rig = QueueRig { config, retry in
            config.numConsumers = 1
            retry.maxElapsedTime = .seconds(10)
        }
        _ = rig.offer(items: 1)
        _ = rig.offer(items: 2)
        rig.loop.advanceTime(by: .seconds(3600))
        rig.answer(.success)
        rig.answer(.down)
        #expect(rig.ends == [1, 0, 0])
        rig.loop.advanceTime(by: .seconds(1))
        rig.answer(.success)
        #expect(rig.ends == [3, 0, 0])
    }

    @Test("retry_on_failure.enabled false: one attempt")
    func noRetries() {
        let rig = QueueRig { config, retry in
            config.waitForResult = true
            retry.enabled = false
        }
        _ = rig.offer(items: 7)
        rig.answer(.down)
        #expect(
            rig.ends == [0, 7, 0]
                && rig.answers.all == [.refused(Refusal(.unavailable, "connection refused"))])
    }

    @Test("data that the destination will never take does not stand in the way of other data")
    func permanent() {
        let rig = QueueRig { config, _ in
            config.waitForResult = true
            config.numConsumers = 1
        }
        _ = rig.offer(items: 7)
        _ = rig.offer(items: 1)
        rig.answer(.permanent("too old", code: .invalidArgument))
        rig.answer(.success)
        #expect(rig.ends == [1, 7, 0] && rig.sender.attempts == 2)
        let refusal = Refusal(.rejected, "too old", isPermanent: true, code: .invalidArgument)
        #expect(rig.answers.all == [.refused(refusal), .accepted])
    }

    @Test(
        "a client that waits is told when the destination wants to be asked again",
        arguments: [
            (TimeAmount?.none, 1), (.milliseconds(1), 1), (.milliseconds(1001), 2), (.seconds(30), 30),
        ])
    func hint(after: TimeAmount?, seconds: Int) {
        let rig = QueueRig { config, retry in
            config.waitForResult = true
            retry.enabled = false
        }
        _ = rig.offer(items: 1)
        rig.answer(.retryable("busy", after: after))
        #expect(rig.answers.all == [.refused(Refusal(.unavailable, "busy", retryAfterSeconds: seconds))])
    }

    @Test(
        "what a destination rejects is counted as failed, never more than was sent, and not sent again",
        arguments: [(3, 3), (0, 0), (10, 10), (11, 10), (.max, 10), (-5, 0)])
    func partialSuccess(said: Int, rejected: Int) {
        let rig = QueueRig { config, _ in config.waitForResult = true }
        _ = rig.offer(items: 10)
        rig.answer(.sent(rejectedItems: said, message: "old"))
        #expect(rig.ends == [UInt64(10 - rejected), UInt64(rejected), 0] && rig.sender.attempts == 1)
        #expect(
            rig.answers.all == [rejected == 0 ? .accepted : .partial(rejectedItems: rejected, message: "old")]
        )
    }

    @Test(
        "a client is answered when its data is queued; with wait_for_result, or without a queue, when it has arrived",
        arguments: [(true, false, false), (true, true, true), (false, false, true)])
    func answers(enabled: Bool, waitForResult: Bool, later: Bool) {
        let rig = QueueRig { config, _ in
            config.enabled = enabled
            config.waitForResult = waitForResult
        }
        #expect(rig.queue.answersLater == later)
        _ = rig.offer(items: 1)
        #expect(rig.answers.all == (later ? [] : [.accepted]))
        rig.answer(.down)
        rig.loop.advanceTime(by: .seconds(1))
        #expect(rig.answers.all == (later ? [] : [.accepted]))
        rig.answer(.success)
        #expect(rig.answers.all == [.accepted])
    }

    @Test("data that a caller gives up after a refusal is counted as dropped and answered")
    func drop() {
        let rig = QueueRig()
        let refusal = Refusal(.queueFull, "full")
        rig.queue.drop(makeBatch(items: 9, acknowledgement: rig.answers.acknowledgement()), because: refusal)
        #expect(
            rig.ends == [0, 0, 9] && rig.answers.all == [.refused(refusal)] && rig.queue.currentSize == 0)
    }
}

@Suite("SendingQueue, stopping")
struct SendingQueueDrainTests {
    private let deadline = NIODeadline.uptimeNanoseconds(10_000_000_000)

    @Test("an idle queue stops at once and takes nothing more")
    func idle() {
        let rig = QueueRig()
        rig.drain(until: deadline)
        #expect(rig.leftover == 0 && rig.sender.isClosed)
        let refusal = rig.offer(items: 1)
        #expect(refusal?.reason == .shuttingDown && refusal?.isPermanent == false)
        #expect(rig.queue.currentSize == 0 && rig.ends == [0, 0, 0])
    }

    @Test("what is queued and under way at the end is sent; stopping waits for it, not longer")
    func sendsAll() {
        let rig = QueueRig { config, _ in config.numConsumers = 1 }
        for items in [1, 2, 4] { _ = rig.offer(items: items) }
        rig.drain(until: deadline)
        for left in [2, 1, 0] {
            #expect(rig.leftover == nil && !rig.sender.isClosed && rig.sender.calls.count == 1)
            rig.answer(.success)
            #expect(rig.queue.currentSize == left)
        }
        #expect(rig.leftover == 0 && rig.sender.isClosed && rig.ends == [7, 0, 0])
        rig.loop.advanceTime(to: deadline + .seconds(60))
        #expect(rig.ends == [7, 0, 0] && rig.sender.attempts == 3)
    }

    @Test("what sleeps between two attempts is tried once more at once")
    func wakesRetries() {
        let rig = QueueRig()
        _ = rig.offer(items: 1)
        _ = rig.offer(items: 2)
        rig.answer(.down)
        rig.answer(.retryable("busy", after: .seconds(200)))
        rig.drain(until: deadline)
        #expect(rig.sender.calls.count == 2 && rig.leftover == nil)
        rig.answer(.success)
        rig.answer(.success)
        #expect(rig.leftover == 0 && rig.ends == [3, 0, 0])
        rig.loop.advanceTime(by: .seconds(300))
        #expect(rig.sender.attempts == 4)
    }

    @Test("with the destination down, each batch is tried once, and what is lost is counted and told")
    func down() {
        let rig = QueueRig { config, _ in
            config.numConsumers = 1
            config.waitForResult = true
        }
        for items in [1, 2, 4] { _ = rig.offer(items: items) }
        rig.drain(until: deadline)
        rig.answer(.down)
        rig.answer(.down)
        rig.answer(.success)
        #expect(rig.leftover == 3 && rig.ends == [4, 3, 0] && rig.sender.attempts == 3)
        let refused = Outcome.refused(Refusal(.unavailable, "connection refused"))
        #expect(rig.answers.all == [refused, refused, .accepted])
    }

    @Test("what has not left at the deadline is counted once, also when the destination answers later")
    func deadlinePasses() {
        let rig = QueueRig { config, _ in
            config.numConsumers = 2
            config.waitForResult = true
        }
        for items in [1, 2, 4, 8] { _ = rig.offer(items: items) }
        rig.drain(until: deadline)
        rig.answer(.success)
        rig.loop.advanceTime(to: deadline - .nanoseconds(1))
        #expect(rig.leftover == nil)
        rig.loop.advanceTime(to: deadline)
        #expect(rig.leftover == 14 && rig.sender.isClosed)
        #expect(rig.ends == [1, 0, 14] && rig.queue.currentSize == 0 && rig.answers.all.count == 4)
        rig.answer(.success)
        rig.answer(.down)
        rig.loop.advanceTime(by: .seconds(1000))
        #expect(rig.ends == [1, 0, 14] && rig.answers.all.count == 4 && rig.sender.attempts == 3)
    }

    @Test("a client that was told \"accepted\" when its data was queued is not answered again at the end")
    func answeredOnce() {
        let rig = QueueRig { config, _ in config.numConsumers = 1 }
        for items in [1, 2] { _ = rig.offer(items: items) }
        rig.drain(until: deadline)
        rig.loop.advanceTime(to: deadline)
        #expect(rig.leftover == 3 && rig.answers.all == [.accepted, .accepted])
    }

    @Test("what was handed over and not yet looked at is sent, too")
    func stillInMailbox() {
        let rig = QueueRig()
        #expect(rig.queue.consume(makeBatch(items: 5)) == nil)
        #expect(rig.sender.calls.isEmpty)
        rig.drain(until: deadline)
        rig.answer(.success)
        #expect(rig.leftover == 0 && rig.ends == [5, 0, 0])
    }
}

@Suite("SendingQueue, any schedule")
struct SendingQueueModelTests {
    /// Scenario: batches come, attempts end in every way, time passes, in any order; then the gateway stops.
    @Test(
        "nothing disappears: accepted = sent + failed + dropped + held after every step; each client gets one answer",
        arguments: 0..<60 as Range<UInt64>)
    func conservation(seed: UInt64) {
        var random = SeededRandom(seed: seed &* 7919 &+ 13)
        let waits = random.below(2) == 0
        let consumers = random.below(4) + 1
        let rig = QueueRig { config, retry in
            config.sizer = .items
            config.queueSize = random.below(60) + 1
            config.numConsumers = consumers
            config.waitForResult = waits
            retry.enabled = random.below(5) > 0
            retry.maxElapsedTime = .seconds(Int64(random.below(20)))
        }
        var accepted = 0
        var given = 0
        func check(_ step: Int) {
            let ended = rig.ends.map { Int($0) }.reduce(0, +)
            #expect(accepted == ended + rig.queue.currentSize, "seed \(seed), step \(step)")
            #expect(rig.sender.calls.count <= consumers, "seed \(seed), step \(step)")
            let inFlight = rig.sender.calls.map { ObjectIdentifier($0.batch) }
            #expect(Set(inFlight).count == inFlight.count, "seed \(seed), step \(step): sent twice at once")
        }
        func act(_ step: Int) {
            switch random.below(10) {
            case 0...3:
                let items = random.below(20) + 1
                let batch = makeBatch(items: items, acknowledgement: rig.answers.acknowledgement())
                given += 1
                if let refusal = rig.queue.consume(batch) { rig.queue.drop(batch, because: refusal) }
                accepted += items
                if random.below(2) == 0 { rig.loop.run() }
            case 4...7:
                guard !rig.sender.calls.isEmpty else { return }
                let index = random.below(rig.sender.calls.count)
                let items = rig.sender.calls[index].batch.items
                let results: [SendResult] = [
                    .success, .success, .down, .permanent("no"),
                    .retryable("later", after: .seconds(Int64(random.below(5)))),
                    .sent(rejectedItems: random.below(items + 3), message: "some"),
                ]
                rig.answer(results[random.below(results.count)], at: index)
            default:
                rig.loop.advanceTime(by: .milliseconds(Int64(random.below(3000))))
            }
            check(step)
        }
        for step in 0..<400 { act(step) }
        rig.drain(until: rig.loop.now + .seconds(Int64(random.below(8))))
        for step in 400..<430 { act(step) }
        let before = rig.counters.dropped.value
        rig.loop.advanceTime(by: .seconds(10))
        check(430)
        #expect(rig.queue.currentSize == 0 && rig.sender.isClosed, "seed \(seed)")
        #expect(rig.leftover.map { $0 >= Int(rig.counters.dropped.value - before) } == true, "seed \(seed)")
        // Answers after the end change nothing.
        while !rig.sender.calls.isEmpty { rig.answer(.success) }
        check(431)
        #expect(rig.answers.all.count == given, "seed \(seed)")
    }

    @Test(
        "nothing disappears when several loops fill the queue while it is stopped", .timeLimit(.minutes(10)),
        arguments: [false, true])
    func threads(gathers: Bool) async throws {
        try await stopUnderLoad(rounds: 40, gathers: gathers)
    }
}
