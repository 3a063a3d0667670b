import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import RoundRobinConnector
import TestSupport
import Testing

@Suite("roundrobin")
struct RoundRobinConnectorTests {
    /// Otherwise one of the pipelines that share the work would get more of it, or all.
    @Test("requests go to one pipeline after the other; a refusal is the answer")
    func turns() {
        let context = ComponentContext.alone(.connector, "roundrobin", on: EmbeddedEventLoop())
        let consumers = [FakeConsumer(), FakeConsumer(), FakeConsumer()]
        let outputs = consumers.enumerated().map { PipelineOutput.test("\($0)", .traces, $1) }
        let connector = RoundRobinConnector(context, outputs)
        for items in 1...7 { #expect(connector.consume(makeBatch(items: items)) == nil) }
        #expect(consumers.map(\.takenItems) == [[3, 6], [1, 4, 7], [2, 5]])
        consumers[2].refusal = Refusal(.queueFull, "full")
        #expect(connector.consume(makeBatch(items: 8))?.reason == .queueFull)
        #expect(connector.consume(makeBatch(items: 8)) == nil)
        #expect(context.account.read().left == 36 && outputs[2].account.read().left == 7)
    }
}
