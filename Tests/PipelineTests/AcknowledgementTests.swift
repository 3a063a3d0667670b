import OTLP
import Pipeline
import TestSupport
import Testing

private let soon = Refusal(.unavailable, "down")
private let never = Refusal(.rejected, "no", isPermanent: true)
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
        ] as [([Outcome], Outcome)])
    func worst(outcomes: [Outcome], expected: Outcome) {
        let answers = Answers()
        let acknowledgement = answers.acknowledgement()
        acknowledgement.expect(outcomes.count - 1)
        for (index, outcome) in outcomes.enumerated() {
            #expect(answers.all.isEmpty, "answered before part \(index)")
            acknowledgement.settle(outcome)
        }
        #expect(answers.all == [expected])
    }

    @Test("items that two destinations reject are told once, not twice; those of one destination add up")
    func partialOfSeveral() {
        let destinations = [FakeConsumer(), FakeConsumer()]
        let answers = Answers()
        let acknowledgement = answers.acknowledgement()
        acknowledgement.expect(3)
        for count in [2, 1] { acknowledgement.settle(partial(count), by: ObjectIdentifier(destinations[0])) }
        acknowledgement.settle(partial(2), by: ObjectIdentifier(destinations[1]))
        acknowledgement.settle(.accepted, by: ObjectIdentifier(destinations[1]))
        #expect(answers.all == [partial(3)])
    }

    /// If it failed, one full queue would make every client send again what the other destinations have: twice.
    @Test("that one destination has no room is no refusal when another took all; it is when nobody did")
    func noRoom() {
        let destinations = [FakeConsumer(), FakeConsumer()]
        let full = Refusal(.queueFull, "full")
        let table: [([(Int, Outcome)], Outcome)] = [
            ([(0, .refused(full)), (1, .accepted)], .accepted),
            ([(1, .accepted), (0, .refused(full))], .accepted),
            ([(0, .refused(full)), (1, partial(2))], partial(2)),
            ([(0, .refused(full)), (1, .refused(full))], .refused(full)),
            ([(0, .refused(full)), (1, .refused(soon))], .refused(soon)),
            // A part each: nobody has the whole request.
            ([(0, .accepted), (0, .refused(full))], .refused(full)),
            ([(0, .accepted), (0, .refused(full)), (1, .accepted)], .accepted),
            ([(0, .accepted), (0, .refused(full)), (1, .accepted), (1, .refused(full))], .refused(full)),
        ]
        for (index, (outcomes, expected)) in table.enumerated() {
            let answers = Answers()
            let acknowledgement = answers.acknowledgement()
            acknowledgement.expect(outcomes.count - 1)
            for (destination, outcome) in outcomes {
                acknowledgement.settle(outcome, by: ObjectIdentifier(destinations[destination]))
            }
            #expect(answers.all == [expected], "row \(index)")
        }
    }

    /// If it failed, a client would believe stored what a broken disk did not keep.
    @Test("that a disk failed is a refusal, whoever else took the request")
    func brokenDisk() {
        let answers = Answers()
        let acknowledgement = answers.acknowledgement()
        acknowledgement.expect(1)
        let broken = Refusal(.storage, "cannot store")
        acknowledgement.settle(.accepted, by: ObjectIdentifier(FakeConsumer()))
        acknowledgement.settle(.refused(broken))
        #expect(answers.all == [.refused(broken)])
    }

    @Test("a client gets one answer, after the last part, whichever thread that is on")
    func threads() async throws {
        for _ in 0..<50 {
            let answers = Answers()
            let acknowledgement = answers.acknowledgement()
            acknowledgement.expect(3)
            let refuser = Int.random(in: 0..<4)
            try await inParallel(
                (0..<4).map { part in
                    {
                        acknowledgement.expect(10)
                        for _ in 0..<10 { acknowledgement.settle(.accepted) }
                        acknowledgement.settle(part == refuser ? .refused(soon) : .accepted)
                    }
                })
            #expect(answers.all == [.refused(soon)])
        }
    }

    @Test("an answer twice, or work handed on after the answer, is a bug that stops the gateway at once")
    func misuse() async {
        await #expect(processExitsWith: .failure) {
            let acknowledgement = Acknowledgement { _ in }
            acknowledgement.settle(.accepted)
            acknowledgement.settle(.accepted)
        }
        await #expect(processExitsWith: .failure) {
            let acknowledgement = Acknowledgement { _ in }
            acknowledgement.settle(.accepted)
            acknowledgement.expect(1)
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
    private let full = Refusal(.queueFull, "full")

    @Test("every destination gets the batch, and the client its answer when all have it")
    func allTake() {
        let consumers = (0..<3).map { _ in FakeConsumer() }
        let answers = Answers()
        let batch = makeBatch(items: 4, acknowledgement: answers.acknowledgement())
        #expect(FanOut(consumers).consume(batch) == nil)
        for consumer in consumers {
            #expect(consumer.taken.count == 1 && consumer.taken[0] === batch && answers.all.isEmpty)
            batch.settle(.accepted)
        }
        #expect(answers.all == [.accepted])
    }

    @Test("a destination that is full costs only its own copy, which is counted", arguments: 0..<3)
    func oneRefuses(which: Int) {
        let consumers = (0..<3).map { FakeConsumer(refusing: $0 == which ? full : nil) }
        let answers = Answers()
        let batch = makeBatch(items: 4, acknowledgement: answers.acknowledgement())
        #expect(FanOut(consumers).consume(batch) == nil)
        #expect(consumers.map(\.taken.count) == (0..<3).map { $0 == which ? 0 : 1 })
        #expect(consumers.map(\.dropped.count) == (0..<3).map { $0 == which ? 1 : 0 })
        batch.settle(.accepted)
        #expect(answers.all.isEmpty)
        batch.settle(.accepted)
        #expect(answers.all == [.refused(full)])
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
        batch.settle(.accepted)
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
