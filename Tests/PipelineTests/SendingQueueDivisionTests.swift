import NIOCore
import NIOEmbedded
import OTLP
import TestSupport
import Testing

@testable import Pipeline

/// What a destination refuses as a whole, though it would take most of it.
@Suite("SendingQueue, division")
struct SendingQueueDivisionTests {
    private func isBad(_ batch: Batch) -> Bool {
        let bad = Array("bad-service".utf8)
        return batch.slices.contains { slice in
            let bytes = Array(slice.bytes.readableBytesView)
            return bytes.count >= bad.count
                && (0...(bytes.count - bad.count)).contains { bytes[$0...].starts(with: bad) }
        }
    }

    /// A batch of requests, one for each number of spans; those of a negative number are of the bad service.
    private func batch(_ requests: [Int], _ answers: Answers) -> Batch {
        let batch = Batch(.traces)
        for (index, spans) in requests.enumerated() {
            let bytes = RequestBuilder.makeTraces(
                spans: abs(spans), seed: UInt64(index + 1), service: spans < 0 ? "bad-service" : "checkout")
            let payload = Payload(ByteBuffer(bytes: bytes))
            batch.append(
                Slice(
                    payload, offset: 0, count: bytes.count, items: abs(spans),
                    acknowledgement: answers.acknowledgement()))
        }
        return batch
    }

    private func offer(_ requests: [Int], _ rig: QueueRig) {
        #expect(rig.queue.consume(batch(requests, rig.answers)) == nil)
        rig.loop.run()
    }

    /// Answers every attempt until there are none.
    private func answerAll(_ rig: QueueRig, _ answer: (Batch) -> SendResult) {
        while let call = rig.sender.calls.first { rig.answer(answer(call.batch)) }
    }

    /// If it failed, one bad item of one service would cost all others their data.
    @Test(
        "a batch that is refused is divided until the culprit is alone, and only that is lost",
        arguments: [1, 3])
    func culprit(consumers: Int) {
        let rig = QueueRig { config, _ in
            config.waitForResult = true
            config.numConsumers = consumers
        }
        let other = FakeConsumer()
        let counter = MetricRegistry().counter("dead", help: "", labels: [:])
        rig.queue.setDeadLetter(SendingQueue.DeadLetter(name: "file", consumer: other, counter: counter))
        offer([100, 57, -1, 300], rig)
        answerAll(rig) { isBad($0) ? .refused("bad id", code: .invalidArgument) : .success }
        #expect(rig.ends == [457, 1, 0] && rig.queue.currentSize == 0)
        #expect(other.takenItems == [1] && other.taken.allSatisfy(isBad))
        #expect(rig.sender.attempts < 30)
        let partial = Outcome.partial(rejectedItems: 1, message: "bad id")
        #expect(rig.answers.all.count == 4 && rig.answers.all.filter { $0 == partial }.count == 1)
        #expect(rig.answers.all.filter { $0 == .accepted }.count == 3)
    }

    /// If it failed, a destination that refuses everything would be asked for each item.
    @Test("where everything is refused the division ends soon, and the next batch is not divided")
    func inVain() {
        let rig = QueueRig { config, _ in
            config.waitForResult = true
            config.numConsumers = 1
        }
        offer([2000], rig)
        answerAll(rig) { _ in .refused("no tenant", code: .invalidArgument) }
        #expect(rig.ends == [0, 2000, 0] && rig.sender.attempts < 100)
        let refusal = Refusal(.rejected, "no tenant", isPermanent: true, code: .invalidArgument)
        #expect(rig.answers.all == [.refused(refusal)])
        let before = rig.sender.attempts
        offer([2000], rig)
        answerAll(rig) { _ in .refused("no tenant", code: .invalidArgument) }
        #expect(rig.sender.attempts == before + 1 && rig.ends == [0, 4000, 0])
        // Something was taken: it is the data again.
        offer([10], rig)
        answerAll(rig) { _ in .success }
        offer([10, -1], rig)
        answerAll(rig) { isBad($0) ? .refused("bad id") : .success }
        #expect(rig.ends == [20, 4001, 0] && rig.queue.currentSize == 0)
    }

    @Test("divide_refused_batches: false gives a refused batch up as it is")
    func switchedOff() {
        let rig = QueueRig { config, _ in config.dividesRefused = false }
        offer([10, -1], rig)
        answerAll(rig) { isBad($0) ? .refused("bad id") : .success }
        #expect(rig.ends == [0, 11, 0] && rig.sender.attempts == 1)
    }

    /// If it failed, every batch would be sent in vain once before it is cut.
    @Test("the size that a destination does not take is remembered, for a while")
    func remembered() {
        let rig = QueueRig { config, _ in config.numConsumers = 1 }
        let limit = 40_000
        func answer(_ batch: Batch) -> SendResult {
            batch.bytes > limit ? .tooLarge("larger than max") : .success
        }
        offer([1000], rig)
        #expect(rig.sender.calls[0].batch.bytes > 2 * limit)
        answerAll(rig, answer)
        let before = rig.sender.attempts
        offer([1000], rig)
        var largest = 0
        answerAll(rig) {
            largest = max(largest, $0.bytes)
            return answer($0)
        }
        #expect(largest <= limit && rig.ends == [2000, 0, 0])
        #expect(rig.sender.attempts - before <= 2 * (before + 1))
        rig.loop.advanceTime(by: .minutes(11))
        offer([1000], rig)
        #expect(rig.sender.calls[0].batch.bytes > 2 * limit)
        answerAll(rig, answer)
        #expect(rig.ends == [3000, 0, 0])
    }

    /// Words about one item, such as "attribute too large", must not make all batches small.
    @Test("an item that is too large for another reason leaves the limit as it was")
    func wordsOfAnItem() {
        let rig = QueueRig { config, _ in config.numConsumers = 1 }
        offer([500, -1, 500], rig)
        answerAll(rig) { isBad($0) ? .tooLarge("attribute too large") : .success }
        #expect(rig.ends == [1000, 1, 0])
        offer([1000], rig)
        answerAll(rig) { _ in .success }
        #expect(rig.sender.calls.isEmpty && rig.ends == [2000, 1, 0])
        let before = rig.sender.attempts
        offer([1000], rig)
        answerAll(rig) { _ in .success }
        #expect(rig.sender.attempts == before + 1)
    }

    /// Scenario: a server whose words nobody knows says "not now" to what is too large.
    @Test("what is put off again and again at one size is sent in halves", arguments: [true, false])
    func bySize(throttled: Bool) {
        let rig = QueueRig()
        let limit = 100_000
        offer([1000], rig)
        #expect(rig.sender.calls[0].batch.bytes > limit)
        for round in 0..<100 where rig.queue.currentSize > 0 {
            if !throttled, round > 0 { offer([1], rig) }
            answerAll(rig) {
                guard $0.bytes > limit else { return .success }
                return throttled ? .throttled("quota", after: .seconds(1)) : .retryable("reset", after: nil)
            }
            rig.loop.advanceTime(by: .seconds(10))
        }
        #expect(rig.ends[0] >= 1000 && rig.ends[1] == 0 && rig.queue.currentSize == 0)
    }

    /// If it failed, the last batches of an outage would wait for their backoff while others are delivered.
    @Test("a destination that takes again wakes those that wait, but for those that it told to wait")
    func woken() {
        let rig = QueueRig { config, retry in
            config.numConsumers = 4
            retry.initialInterval = .seconds(100)
            retry.maxInterval = .seconds(100)
        }
        for items in [1, 2, 4, 8] { _ = rig.offer(items: items) }
        rig.answer(.down)
        rig.answer(.retryable("busy", after: .seconds(50)))
        rig.answer(.throttled("rate", after: nil))
        #expect(rig.sender.calls.map(\.batch.items) == [8])
        rig.answer(.success)
        #expect(rig.sender.calls.map(\.batch.items) == [1])
        rig.answer(.success)
        #expect(rig.sender.calls.isEmpty && rig.ends == [9, 0, 0])
        rig.loop.advanceTime(by: .seconds(60))
        _ = rig.offer(items: 16)
        rig.answer(.success)
        #expect(rig.sender.calls.map(\.batch.items) == [2])
        rig.answer(.success)
        rig.loop.advanceTime(by: .seconds(60))
        rig.answer(.success)
        #expect(rig.ends == [31, 0, 0] && rig.queue.currentSize == 0)
    }
}
