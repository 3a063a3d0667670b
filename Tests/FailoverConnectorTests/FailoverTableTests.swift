import Configuration
import FailoverConnector
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// One step of a story: seconds pass, levels go down or come back, a request is sent.
private enum Step {
    case wait(Int64)
    case down(Int)
    case downForGood(Int)
    case up(Int)
    /// A request, and the level that has it then; nil: nobody.
    case sent(Int?)
}

/// The reference: any error moves this request and later ones to the next level; each `retry_interval` one request is tried on
/// the levels above; when all fail, the sender is told.
@Suite("failover, story by story")
struct FailoverTableTests {
    /// Otherwise data would be lost, or would stay with the second backend for ever, or hammer the first one.
    @Test(
        "who gets which request",
        arguments: [
            [.sent(0), .sent(0)],
            [.down(0), .sent(1), .sent(1)],
            [.down(0), .down(1), .sent(2), .sent(2)],
            [.down(0), .down(1), .down(2), .sent(nil)],
            [.down(1), .sent(0)], [.down(2), .sent(0)], [.down(1), .down(2), .sent(0)],
            [.down(0), .down(2), .sent(1)],
            // Errors that are for good move data, too.
            [.downForGood(0), .sent(1)], [.downForGood(0), .downForGood(1), .sent(2)],
            [.downForGood(0), .downForGood(1), .downForGood(2), .sent(nil)],
            [.down(0), .downForGood(1), .sent(2)],
            // Back only after the interval.
            [.down(0), .sent(1), .up(0), .sent(1), .wait(9), .sent(1)],
            [.down(0), .sent(1), .up(0), .wait(11), .sent(0), .sent(0)],
            [.down(0), .sent(1), .wait(11), .sent(1), .up(0), .sent(1), .wait(11), .sent(0)],
            [.down(0), .down(1), .sent(2), .up(1), .wait(11), .sent(1)],
            [.down(0), .down(1), .sent(2), .up(0), .wait(11), .sent(0)],
            [.down(0), .down(1), .sent(2), .up(0), .up(1), .wait(11), .sent(0)],
            // The second one fails while the first one is away.
            [.down(0), .sent(1), .down(1), .sent(2), .sent(2)],
            [.down(0), .sent(1), .down(1), .down(2), .sent(nil)],
            // Everything was down, and something came back.
            [.down(0), .down(1), .down(2), .sent(nil), .up(2), .sent(2)],
            [.down(0), .down(1), .down(2), .sent(nil), .up(0), .wait(11), .sent(0)],
            // Down again after it came back.
            [.down(0), .sent(1), .up(0), .wait(11), .sent(0), .down(0), .sent(1)],
        ] as [[Step]])
    fileprivate func stories(steps: [Step]) throws {
        let diagnostics = Diagnostics()
        let config = FailoverConfig(
            ConfigSection(
                yaml: "priority_levels: [[traces/0], [traces/1], [traces/2]]\nretry_interval: 10s",
                diagnostics: diagnostics))
        let consumers = (0..<3).map { _ in FakeConsumer() }
        let outputs = consumers.enumerated().map { PipelineOutput.test("\($0)", .traces, $1) }
        let context = ComponentContext.alone(.connector, "failover", on: EmbeddedEventLoop())
        let now = Noted(NIODeadline.uptimeNanoseconds(0))
        let connector = try FailoverConnector(config, context, outputs) { now.value }
        var expected = [0, 0, 0]
        for (index, step) in steps.enumerated() {
            switch step {
            case .wait(let seconds): now.value = now.value + .seconds(seconds)
            case .down(let level): consumers[level].refusal = Refusal(.unavailable, "down")
            case .downForGood(let level):
                consumers[level].refusal = Refusal(.rejected, "no", isPermanent: true)
            case .up(let level): consumers[level].refusal = nil
            case .sent(let level):
                let refusal = connector.consume(makeBatch(items: 1))
                #expect((refusal == nil) == (level != nil), "step \(index)")
                if let level { expected[level] += 1 }
                #expect(consumers.map(\.taken.count) == expected, "step \(index)")
            }
        }
        #expect(context.account.read().inside == 0)
    }
}
