import Configuration
import NIOEmbedded
import OTLP
import Pipeline
import RoundRobinConnector
import TestSupport
import Testing

/// What one request found: which pipelines were full, and who has it, or nobody.
private struct Turn {
    var full: Set<Int> = []
    let taker: Int?

    static func to(_ taker: Int) -> Turn { Turn(taker: taker) }
    static func refused(by pipeline: Int) -> Turn { Turn(full: [pipeline], taker: nil) }
}

/// The reference: no configuration; each request goes to the next pipeline, the counter begins at 1, no other one is tried when it
/// refuses.
@Suite("roundrobin, request by request")
struct TurnTests {
    /// Otherwise work that is divided because one cannot do it would be done by one, or twice.
    @Test(
        "who gets which request",
        arguments: [
            (1, [.to(0)]), (1, [.to(0), .to(0), .to(0)]), (1, [.refused(by: 0), .to(0)]),
            (2, [.to(1)]), (2, [.to(1), .to(0)]), (2, [.to(1), .to(0), .to(1), .to(0)]),
            // A refusal takes a turn.
            (2, [.refused(by: 1), .to(0), .to(1)]), (2, [.to(1), .refused(by: 0), .to(1)]),
            (2, [.refused(by: 1), .refused(by: 0), .to(1)]),
            // Another one that is full does not matter.
            (2, [Turn(full: [0], taker: 1), Turn(full: [1], taker: 0)]),
            (3, [.to(1), .to(2), .to(0)]), (3, [.to(1), .to(2), .to(0), .to(1), .to(2), .to(0), .to(1)]),
            (3, [.refused(by: 1), .to(2), .to(0), .to(1)]), (3, [.to(1), .refused(by: 2), .to(0)]),
            (3, [.to(1), .to(2), .refused(by: 0), .to(1)]),
            (3, [Turn(full: [0, 2], taker: 1), Turn(full: [0, 1], taker: 2)]),
            (3, [Turn(full: [0, 1, 2], taker: nil), .to(2)]),
            (4, [.to(1), .to(2), .to(3), .to(0), .to(1)]),
            (4, [.to(1), .refused(by: 2), .refused(by: 3), .to(0)]),
            (5, [.to(1), .to(2), .to(3), .to(4), .to(0), .to(1)]),
        ] as [(Int, [Turn])])
    fileprivate func turns(pipelines: Int, turns: [Turn]) {
        for signal in Signal.allCases {
            let context = ComponentContext.alone(
                .connector, "roundrobin", signal: signal, on: EmbeddedEventLoop())
            let consumers = (0..<pipelines).map { _ in FakeConsumer() }
            let outputs = consumers.enumerated().map { PipelineOutput.test("\($0)", signal, $1) }
            let connector = RoundRobinConnector(context, outputs)
            var expected = Array(repeating: [Int](), count: pipelines)
            for (index, turn) in turns.enumerated() {
                for (place, consumer) in consumers.enumerated() {
                    consumer.refusal = turn.full.contains(place) ? Refusal(.queueFull, "full") : nil
                }
                let refusal = connector.consume(makeBatch(items: index + 1))
                #expect((refusal == nil) == (turn.taker != nil))
                if let taker = turn.taker { expected[taker].append(index + 1) }
            }
            #expect(consumers.map(\.takenItems) == expected)
            let taken = expected.joined().reduce(0, +)
            #expect(context.account.read().left == UInt64(taken) && context.account.read().inside == 0)
        }
    }
}
