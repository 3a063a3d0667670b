import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

/// Without these a queue could send after it has stopped, lose what comes late, or answer a client twice.
@Suite("SendingQueue, states")
struct SendingQueueStateTests {
    private static let states: [SendingQueueState] = [
        .running(.unknown), .running(.taking), .running(.failing), .handingOver { _ in }, .draining, .closed,
    ]

    private func name(_ state: SendingQueueState) -> String {
        switch state {
        case .running(let destination): "\(destination)"
        case .handingOver: "handingOver"
        case .draining: "draining"
        case .closed: "closed"
        }
    }

    @Test(
        "the life of a queue, event by event",
        arguments: [
            (.taken, ["taking", "taking", "taking", "handingOver", "draining", "closed"]),
            (.notTaken, ["unknown", "unknown", "failing", "handingOver", "draining", "closed"]),
            (.failed, ["failing", "failing", "failing", "handingOver", "draining", "closed"]),
            (
                .handOver { _ in },
                ["handingOver", "handingOver", "handingOver", "handingOver", "draining", "closed"]
            ),
            (.drain, ["draining", "draining", "draining", "draining", "draining", "closed"]),
            (.emptied, ["unknown", "taking", "failing", "handingOver", "closed", "closed"]),
        ] as [(SendingQueueState.Event, [String])])
    func queue(event: SendingQueueState.Event, expected: [String]) {
        for (before, after) in zip(Self.states, expected) {
            var state = before
            state.apply(event)
            #expect(name(state) == after, "\(name(before))")
        }
    }

    private static let fault = Refusal(.storage, "no room")
    private static let never = Refusal(.rejected, "no", isPermanent: true)
    private static let stopped = Outcome.refused(Refusal(.shuttingDown, "stays in the store"))

    @Test(
        "a batch that is stored, and perhaps sent meanwhile: one answer, by who has the last word",
        arguments: [
            ([.stored], .accepted, 0),
            ([.failed(fault)], .refused(fault), 7),
            ([.sending, .stored], .accepted, 0),
            ([.sending, .stored, .delivered(stopped, uncounted: 7)], .accepted, 0),
            ([.sending, .delivered(.accepted, uncounted: 0)], .accepted, 0),
            ([.sending, .delivered(.accepted, uncounted: 0), .failed(fault)], .accepted, 0),
            ([.sending, .delivered(.refused(never), uncounted: 0), .stored], .accepted, 0),
            ([.sending, .failed(fault), .delivered(.accepted, uncounted: 0)], .accepted, 0),
            ([.sending, .failed(fault), .delivered(.refused(never), uncounted: 0)], .refused(never), 0),
            ([.sending, .failed(fault), .delivered(stopped, uncounted: 3)], .refused(fault), 3),
            ([.sending, .delivered(stopped, uncounted: 3), .stored], .accepted, 0),
            ([.sending, .delivered(stopped, uncounted: 3), .failed(fault)], .refused(fault), 3),
        ] as [([DepositState.Event], Outcome, Int)])
    func deposit(events: [DepositState.Event], outcome: Outcome, lost: Int) {
        var state = DepositState.storing(items: 7)
        let answers = events.compactMap { state.apply($0) }
        #expect(answers == [DepositState.Answer(outcome, lost: lost)])
        #expect(state == .answered)
    }

    @Test("a batch that is told the same twice is a bug that stops the gateway at once")
    func misuse() async {
        await #expect(processExitsWith: .failure) {
            var state = DepositState.racing
            _ = state.apply(.sending)
        }
    }
}

/// Without these somebody could change what another thread is reading, and nobody would see it before it hurts.
@Suite("Sealed data")
struct SealTests {
    @Test("what was handed on is not changed: a debug build stops at once")
    func batch() async {
        let next = FakeConsumer()
        let batch = makeBatch(items: 1)
        batch.append(makeBatch(items: 1).slices[0])
        #expect(next.consume(batch) == nil && batch.items == 2)
        await #expect(processExitsWith: .failure) {
            let batch = makeBatch(items: 1)
            _ = FakeConsumer().consume(batch)
            batch.append(makeBatch(items: 1).slices[0])
        }
    }

    @Test("the bytes of a batch are not changed: a debug build stops at once")
    func payload() async {
        await #expect(processExitsWith: .failure) {
            let batch = makeBatch(items: 1)
            batch.slices[0].payload.bytes.writeString("more")
        }
        await #expect(processExitsWith: .failure) {
            let batch = makeBatch(items: 1)
            batch.slices[0].payload.metadata = nil
        }
    }
}
