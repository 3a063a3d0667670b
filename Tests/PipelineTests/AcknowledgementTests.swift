import OTLP
import Pipeline
import TestSupport
import Testing

private let soon = Refusal(.unavailable, "down")
private let never = Refusal(.rejected, "no", isPermanent: true)
private let full = Refusal(.queueFull, "full")
private let stopping = Refusal(.shuttingDown, "stopping")
private func partial(_ count: Int) -> Outcome { .partial(rejectedItems: count, message: "m") }

@Suite("Acknowledgement")
struct AcknowledgementTests {
    @Test(
        "a client hears the worst that happened to a part of its request, and what may work is worth another try",
        arguments: [
            ([.accepted], .accepted),
            ([.accepted, .accepted], .accepted),
            ([.accepted, partial(2), .accepted], partial(2)),
            ([partial(2), partial(3)], partial(5)),
            ([.refused(soon), .accepted], .refused(soon)),
            ([.accepted, .refused(soon), partial(1)], .refused(soon)),
            ([partial(1), .refused(never)], .refused(never)),
            ([.refused(never), .refused(soon)], .refused(soon)),
            ([.refused(soon), .refused(never)], .refused(soon)),
            ([.refused(soon), .refused(stopping), .refused(soon)], .refused(stopping)),
            ([.refused(stopping), .refused(never), .refused(soon)], .refused(stopping)),
            ([.refused(never), .refused(full)], .refused(full)),
            ([.refused(full), .refused(soon)], .refused(soon)),
            ([.accepted, .refused(full)], .refused(full)),
        ] as [([Outcome], Outcome)])
    func worst(outcomes: [Outcome], expected: Outcome) {
        let answers = Answers()
        let acknowledgement = answers.acknowledgement(shares: outcomes.count)
        for (index, outcome) in outcomes.enumerated() {
            #expect(answers.all.isEmpty, "answered before part \(index)")
            acknowledgement.settle(outcome)
        }
        #expect(answers.all == [expected])
    }

    /// A request that goes to several destinations, to each in one or more parts.
    private func answer(_ destinations: [[Outcome]]) -> [Outcome] {
        let answers = Answers()
        let request = answers.acknowledgement()
        let joint = Acknowledgement(.destinations, shares: destinations.count, below: request)
        for parts in destinations {
            let node = Acknowledgement(.parts, shares: parts.count, below: joint)
            for part in parts { node.settle(part) }
        }
        return answers.all
    }

    @Test("items that two destinations reject are told once, not twice; those of one destination add up")
    func partialOfSeveral() {
        #expect(answer([[partial(2), partial(1)], [partial(2), .accepted]]) == [partial(3)])
    }

    /// If it failed, one full queue would make every client send again what the other destinations have: twice.
    @Test(
        "that one destination has no room is no refusal when another took all; it is when nobody did",
        arguments: [
            ([[.refused(full)], [.accepted]], .accepted),
            ([[.accepted], [.refused(full)]], .accepted),
            ([[.refused(full)], [partial(2)]], partial(2)),
            ([[.refused(full)], [.refused(full)]], .refused(full)),
            ([[.refused(full)], [.refused(soon)]], .refused(soon)),
            ([[.refused(full)], [.refused(never)]], .refused(full)),
            ([[.refused(full)], [.refused(never)], [.accepted]], .refused(never)),
            // A part each: nobody has the whole request.
            ([[.accepted, .refused(full)]], .refused(full)),
            ([[.accepted, .refused(full)], [.accepted]], .accepted),
            ([[.accepted, .refused(full)], [.accepted, .refused(full)]], .refused(full)),
        ] as [([[Outcome]], Outcome)])
    func noRoom(outcomes: [[Outcome]], expected: Outcome) {
        #expect(answer(outcomes) == [expected])
        #expect(answer(outcomes.map { $0.reversed() }) == [expected])
    }

    /// If it failed, a client would believe stored what a broken disk did not keep.
    @Test("that a disk failed is a refusal, whoever else took the request")
    func brokenDisk() {
        let broken = Refusal(.storage, "cannot store")
        #expect(answer([[.accepted], [.refused(broken)]]) == [.refused(broken)])
    }

    @Test("a client gets one answer, after the last part, whichever thread that is on")
    func threads() async throws {
        for _ in 0..<50 {
            let answers = Answers()
            let request = answers.acknowledgement(shares: 4)
            let refuser = Int.random(in: 0..<4)
            try await inParallel(
                (0..<4).map { part in
                    {
                        let node = Acknowledgement(.parts, shares: 11, below: request)
                        for _ in 0..<10 { node.settle(.accepted) }
                        node.settle(part == refuser ? .refused(soon) : .accepted)
                    }
                })
            #expect(answers.all == [.refused(soon)])
        }
    }

    @Test("an answer twice is a bug that stops the gateway at once")
    func misuse() async {
        await #expect(processExitsWith: .failure) {
            let acknowledgement = Acknowledgement { _ in }
            acknowledgement.settle(.accepted)
            acknowledgement.settle(.accepted)
        }
    }

    @Test("no client of a merged batch hears that more was rejected than it sent")
    func partialOfMerged() {
        let answers = (0..<3).map { _ in Answers() }
        let batch = Batch(.traces)
        for (answer, items) in zip(answers, [5, 2, 0]) {
            for slice in makeBatch(items: items, acknowledgement: answer.acknowledgement()).slices {
                batch.append(slice)
            }
        }
        #expect(batch.items == 7 && batch.bytes == 30)
        batch.settle(partial(3))
        #expect(answers.map(\.all) == [[partial(3)], [partial(2)], [.accepted]])
    }
}

@Suite("FanOut")
struct FanOutTests {
    @Test("every destination gets the batch, and the client its answer when all have it")
    func allTake() {
        let consumers = (0..<3).map { _ in FakeConsumer() }
        let answers = Answers()
        let batch = makeBatch(items: 4, acknowledgement: answers.acknowledgement())
        #expect(FanOut(consumers).consume(batch) == nil)
        for consumer in consumers {
            #expect(consumer.takenItems == [4] && answers.all.isEmpty)
            #expect(consumer.taken[0].slices[0].payload === batch.slices[0].payload)
            consumer.taken[0].settle(.accepted)
        }
        #expect(answers.all == [.accepted])
    }

    @Test("a batch for which nobody waits is shared as it is")
    func notAwaited() {
        let consumers = [FakeConsumer(), FakeConsumer()]
        let batch = makeBatch(items: 4)
        #expect(FanOut(consumers).consume(batch) == nil)
        #expect(consumers.allSatisfy { $0.taken[0] === batch })
    }

    @Test("a destination that is full costs only its own copy, which is counted", arguments: 0..<3)
    func oneRefuses(which: Int) {
        let consumers = (0..<3).map { FakeConsumer(refusing: $0 == which ? full : nil) }
        let answers = Answers()
        let batch = makeBatch(items: 4, acknowledgement: answers.acknowledgement())
        #expect(FanOut(consumers).consume(batch) == nil)
        #expect(consumers.map(\.taken.count) == (0..<3).map { $0 == which ? 0 : 1 })
        #expect(consumers.map(\.dropped.count) == (0..<3).map { $0 == which ? 1 : 0 })
        for consumer in consumers where !consumer.taken.isEmpty {
            #expect(answers.all.isEmpty)
            consumer.taken[0].settle(.accepted)
        }
        #expect(answers.all == [.accepted])
    }

    @Test(
        "when all refuse the caller still has the batch: nothing counted, nothing answered, and it can try again"
    )
    func allRefuse() {
        let never = Refusal(.rejected, "no", isPermanent: true)
        let consumers = [
            FakeConsumer(refusing: never), FakeConsumer(refusing: full), FakeConsumer(refusing: never),
        ]
        let answers = Answers()
        let batch = makeBatch(items: 4, acknowledgement: answers.acknowledgement())
        let fanOut = FanOut(consumers)
        #expect(fanOut.consume(batch) == full)
        #expect(fanOut.consume(batch) == full)
        consumers[1].refusal = never
        #expect(fanOut.consume(batch) == never)
        #expect(consumers.allSatisfy(\.dropped.isEmpty) && answers.all.isEmpty)
        for consumer in consumers {
            consumer.refusal = nil
            consumer.outcome = .accepted
        }
        #expect(fanOut.consume(batch) == nil)
        #expect(answers.all == [.accepted])
    }

    @Test("a destination that answers before the next one has seen the batch does not answer for it")
    func early() {
        let consumers = [FakeConsumer(), FakeConsumer()]
        consumers[0].outcome = .accepted
        let answers = Answers()
        let batch = makeBatch(items: 1, acknowledgement: answers.acknowledgement())
        #expect(FanOut(consumers).consume(batch) == nil && answers.all.isEmpty)
        consumers[1].taken[0].settle(.accepted)
        #expect(answers.all == [.accepted])
    }

    @Test("data given up before a fan-out is counted by every destination behind it")
    func drop() {
        let consumers = [FakeConsumer(), FakeConsumer()]
        let answers = Answers()
        FanOut(consumers).drop(makeBatch(items: 1, acknowledgement: answers.acknowledgement()), because: full)
        #expect(consumers.map(\.dropped.count) == [1, 1] && answers.all == [.refused(full)])
    }

    @Test("one destination needs no fan-out")
    func single() {
        let consumer = FakeConsumer()
        #expect(FanOut.joining([consumer]) === consumer)
        #expect(FanOut.joining([consumer, FakeConsumer()]) is FanOut)
    }
}
