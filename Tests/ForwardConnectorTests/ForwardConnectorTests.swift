import Configuration
import ForwardConnector
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("forward")
struct ForwardConnectorTests {
    private let first = FakeConsumer()
    private let second = FakeConsumer()
    private let context = ComponentContext.alone(.connector, "forward", on: EmbeddedEventLoop())

    /// Otherwise a pipeline behind it would miss data, or a page would show items that came from nowhere.
    @Test("everything goes to every pipeline, and is counted where it comes in")
    func all() {
        let outputs = [PipelineOutput.test("a", .traces, first), .test("b", .traces, second)]
        let connector = ForwardConnector(context, outputs)
        let source = NodeAccount(kind: .receiver, id: context.id, signal: .traces)
        let batch = makeBatch(items: 3)
        batch.entry = Batch.Entry(source.counter(.passed), items: 3)
        #expect(connector.consume(batch) == nil)
        #expect(first.takenItems == [3] && second.takenItems == [3])
        #expect(source.read().left == 3 && context.account.read().left == 3)
        #expect(outputs.map { $0.account.read().left } == [3, 3])
    }

    /// Otherwise data would be answered for that nobody has, or counted although it was refused.
    @Test("what all pipelines refuse is refused, and not counted")
    func refused() {
        let outputs = [PipelineOutput.test("a", .traces, first), .test("b", .traces, second)]
        let connector = ForwardConnector(context, outputs)
        first.refusal = Refusal(.queueFull, "full")
        second.refusal = Refusal(.queueFull, "full")
        #expect(connector.consume(makeBatch(items: 3))?.reason == .queueFull)
        #expect(context.account.read().entered == 0 && outputs[0].account.read().entered == 0)
    }

    /// Otherwise a client would be told "delivered" before an exporter behind the connector had delivered.
    @Test("a client waits through it")
    func waits() {
        let connector = ForwardConnector(
            context,
            [PipelineOutput.test("a", .traces, first, answersLater: true), .test("b", .traces, second)])
        #expect(connector.input.answersLater)
        let answers = Answers()
        #expect(connector.consume(makeBatch(items: 1, acknowledgement: answers.acknowledgement())) == nil)
        first.taken[0].settle(.accepted)
        #expect(answers.all.isEmpty)
        second.taken[0].settle(.refused(Refusal(.unavailable, "down")))
        #expect(answers.all.count == 1)
    }
}
