import Configuration
import ForwardConnector
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// What becomes of a request in one pipeline behind the connector.
private enum Fate {
    case takes, refuses, refusesForGood
    /// Takes it, and says later what became of it.
    case delivers, loses
}

/// The reference: no configuration; every request goes to every pipeline, and what they say is joined.
@Suite("forward, case by case")
struct ForwardTableTests {
    /// Otherwise pipelines that are split or merged would have other data than one.
    @Test(
        "a request and the pipelines behind",
        arguments: [
            ([.takes], true), ([.takes, .takes], true), ([.takes, .takes, .takes], true),
            ([.takes, .takes, .takes, .takes], true),
            // Refused by all: not taken. By some: they lose it, the others have it.
            ([.refuses], false), ([.refuses, .refuses], false), ([.refuses, .refuses, .refuses], false),
            ([.refusesForGood], false), ([.refusesForGood, .refuses], false),
            ([.refuses, .refusesForGood], false), ([.refusesForGood, .refusesForGood], false),
            ([.takes, .refuses], true), ([.refuses, .takes], true), ([.takes, .refuses, .takes], true),
            ([.refuses, .takes, .refuses], true), ([.takes, .refusesForGood], true),
            ([.refusesForGood, .refuses, .takes], true),
            // Whose answer comes later.
            ([.delivers], true), ([.delivers, .takes], true), ([.takes, .delivers], true),
            ([.delivers, .delivers], true), ([.loses], true), ([.loses, .takes], true),
            ([.takes, .loses], true), ([.delivers, .loses], true), ([.loses, .loses], true),
        ] as [([Fate], Bool)])
    fileprivate func table(fates: [Fate], isTaken: Bool) {
        for signal in Signal.allCases {
            let context = ComponentContext.alone(
                .connector, "forward", signal: signal, on: EmbeddedEventLoop())
            let consumers = fates.map { fate in
                let consumer = FakeConsumer()
                if fate == .refuses { consumer.refusal = Refusal(.queueFull, "full") }
                if fate == .refusesForGood { consumer.refusal = Refusal(.rejected, "no", isPermanent: true) }
                return consumer
            }
            let isLater = fates.contains { $0 == .delivers || $0 == .loses }
            let outputs = zip(fates, consumers).enumerated().map { index, pair in
                PipelineOutput.test(
                    "\(index)", signal, pair.1, answersLater: pair.0 == .delivers || pair.0 == .loses)
            }
            let connector = ForwardConnector(context, outputs)
            #expect(connector.input.answersLater == isLater)
            let answers = Answers()
            let batch = makeBatch(items: 5, acknowledgement: isLater ? answers.acknowledgement() : nil)
            #expect((connector.consume(batch) == nil) == isTaken)
            for (fate, consumer) in zip(fates, consumers) {
                let takes = fate == .takes || fate == .delivers || fate == .loses
                #expect(consumer.takenItems == (takes ? [5] : []))
                if isLater, fate != .loses { consumer.taken.first?.settle(.accepted) }
                if fate == .loses {
                    #expect(answers.all.isEmpty)
                    consumer.taken[0].settle(.refused(Refusal(.unavailable, "down")))
                }
            }
            let reading = context.account.read()
            #expect(reading.entered == (isTaken ? 5 : 0) && reading.left == reading.entered)
            guard isLater else { continue }
            #expect(answers.all.count == 1)
            let isLost = fates.contains(.loses)
            if case .refused? = answers.all.first { #expect(isLost) } else { #expect(!isLost) }
        }
    }
}
