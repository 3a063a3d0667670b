package import Configuration
internal import OTLP
package import Pipeline
import Synchronization

/// `roundrobin` has no keys.
package struct RoundRobinConfig: ComponentConfig {
    package init() {}

    package init(_ section: ConfigSection) {
        section.finish()
    }
}

extension ComponentType {
    /// `roundrobin`.
    package static let roundRobin = connector(
        "roundrobin", aliases: ["round_robin"], stability: .beta,
        pairs: Set(Signal.allCases.map { SignalPair($0, $0) }), RoundRobinConfig.self
    ) { _, context, outputs in
        RoundRobinConnector(context, outputs)
    }
}

/// Hands each request to the next of its pipelines: `roundrobin`. Any thread.
package final class RoundRobinConnector: Consumer, PipelineComponent {
    private let outputs: [ConnectorOutputs]
    private let joined: PipelineInput
    private let passed: Counter
    // As the Collector's, the first request goes to the second pipeline.
    private let turn = Atomic<Int>(1)

    package init(_ context: ComponentContext, _ outputs: [PipelineOutput]) {
        self.outputs = outputs.map { ConnectorOutputs([$0]) }
        joined = .joining(outputs.map(\.input))
        passed = context.account.counter(.passed)
    }

    package var input: PipelineInput { joined.behind(self) }

    package func consume(_ batch: Batch) -> Refusal? {
        let copy = batch.copy()
        if let refusal = next.consume(copy, entry: batch.entry, [passed]) { return refusal }
        batch.entry = nil
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        passed.add(batch.items)
        next.drop(batch, because: refusal)
    }

    private var next: ConnectorOutputs {
        outputs[turn.wrappingAdd(1, ordering: .relaxed).oldValue % outputs.count]
    }
}
