import Configuration
import FailoverConnector
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

private final class Rig {
    let consumers = [FakeConsumer(), FakeConsumer(), FakeConsumer()]
    let outputs: [PipelineOutput]
    let context = ComponentContext.alone(.connector, "failover", on: EmbeddedEventLoop())
    let now = Noted(NIODeadline.uptimeNanoseconds(0))
    let connector: FailoverConnector

    init(_ more: String = "", answersLater: Bool = false) throws {
        let diagnostics = Diagnostics()
        let config = FailoverConfig(
            ConfigSection(
                yaml: "priority_levels: [[traces/0], [traces/1], [traces/2]]\n" + more,
                diagnostics: diagnostics))
        precondition(!diagnostics.hasErrors, diagnostics.render())
        outputs = consumers.enumerated().map {
            .test("\($0)", .traces, $1, answersLater: answersLater)
        }
        connector = try FailoverConnector(config, context, outputs) { [now] in now.value }
    }

    var taken: [Int] { consumers.map(\.taken.count) }
}

private let down = Refusal(.unavailable, "connection refused")

@Suite("failover")
struct FailoverConnectorTests {
    /// Otherwise data would be lost with the first backend although there is a second one.
    @Test("what a level refuses goes to the next one, and so does what follows, until the interval is over")
    func levels() throws {
        let rig = try Rig("retry_interval: 10s")
        #expect(rig.connector.consume(makeBatch(items: 1)) == nil && rig.taken == [1, 0, 0])
        rig.consumers[0].refusal = down
        #expect(rig.connector.consume(makeBatch(items: 1)) == nil && rig.taken == [1, 1, 0])
        rig.consumers[0].refusal = nil
        #expect(rig.connector.consume(makeBatch(items: 1)) == nil && rig.taken == [1, 2, 0])
        rig.now.value = .uptimeNanoseconds(11_000_000_000)
        for _ in 0..<2 { #expect(rig.connector.consume(makeBatch(items: 1)) == nil) }
        #expect(rig.taken == [3, 2, 0])
        #expect(rig.context.account.read().left == 5 && rig.outputs[1].account.read().left == 2)
    }

    /// Otherwise every request would be delayed by the level that is down.
    @Test("a level that is still down is tried with one request an interval")
    func retries() throws {
        let rig = try Rig("retry_interval: 10s")
        rig.consumers[0].refusal = down
        for _ in 0..<5 { _ = rig.connector.consume(makeBatch(items: 1)) }
        #expect(rig.consumers[0].asked == 1 && rig.taken == [0, 5, 0])
        rig.now.value = .uptimeNanoseconds(11_000_000_000)
        for _ in 0..<5 { _ = rig.connector.consume(makeBatch(items: 1)) }
        #expect(rig.consumers[0].asked == 2 && rig.taken == [0, 10, 0])
    }

    /// Otherwise the sender would think that somebody has its data.
    @Test("when all fail the answer says so, and nothing was counted")
    func allFail() throws {
        let rig = try Rig()
        for consumer in rig.consumers { consumer.refusal = down }
        let refusal = rig.connector.consume(makeBatch(items: 1))
        #expect(refusal?.message == "All provided pipelines return errors: connection refused")
        #expect(refusal?.isPermanent == false && rig.context.account.read().entered == 0)
    }

    /// Otherwise failover would do nothing for the exporters it is meant for: those without a queue.
    @Test("a level that fails later is a failure, too; the client hears of the one that delivered")
    func later() throws {
        let rig = try Rig(answersLater: true)
        let answers = Answers()
        #expect(rig.connector.consume(makeBatch(items: 4, acknowledgement: answers.acknowledgement())) == nil)
        rig.consumers[0].taken[0].settle(.refused(down))
        #expect(rig.taken == [1, 1, 0] && answers.all.isEmpty)
        rig.consumers[1].taken[0].settle(.accepted)
        #expect(answers.all == [.accepted])
        let reading = rig.context.account.read()
        #expect(reading.entered == 4 && reading.made == 4 && reading.left == 8)
        #expect(rig.connector.consume(makeBatch(items: 4)) == nil && rig.taken == [1, 2, 0])
    }

    /// Otherwise bad data would move all traffic to the second backend.
    @Test("with condition only errors with one of its texts move data")
    func condition() throws {
        let rig = try Rig("condition: {error: {contains: [REFUSED]}}")
        rig.consumers[0].refusal = Refusal(.rejected, "bad data", isPermanent: true)
        #expect(rig.connector.consume(makeBatch(items: 1))?.message == "bad data")
        rig.consumers[0].refusal = down
        #expect(rig.connector.consume(makeBatch(items: 1)) == nil && rig.taken == [0, 1, 0])
    }

    /// Otherwise a typing error would be a level that nobody is behind.
    @Test("a pipeline that does not have the connector as a receiver is refused")
    func unknownPipeline() {
        let config = FailoverConfig(
            ConfigSection(yaml: "priority_levels: [[traces/9]]", diagnostics: Diagnostics()))
        let context = ComponentContext.alone(.connector, "failover", on: EmbeddedEventLoop())
        #expect(throws: ComponentError.self) {
            try FailoverConnector(config, context, [.test("0", .traces, FakeConsumer())])
        }
    }

    /// Otherwise the Collector's errors would not be recognized.
    @Test(
        "what means nothing is refused in the Collector's words",
        arguments: [
            ("priority_levels: []", "No pipelines are defined in the priority list"),
            ("priority_levels: [[traces]]\nretry_interval: 0s", "Retry interval must be positive"),
        ])
    func config(yaml: String, message: String) {
        let diagnostics = Diagnostics()
        _ = FailoverConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        #expect(diagnostics.render().contains(message))
    }
}
