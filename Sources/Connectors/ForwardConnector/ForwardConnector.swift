package import Configuration
internal import OTLP
package import Pipeline

/// `forward` has no keys.
package struct ForwardConfig: ComponentConfig {
    package init() {}

    package init(_ section: ConfigSection) {
        section.finish()
    }
}

extension ComponentType {
    /// `forward`.
    package static let forward = connector(
        "forward", stability: .beta, pairs: Set(Signal.allCases.map { SignalPair($0, $0) }),
        ForwardConfig.self
    ) { _, context, outputs in
        ForwardConnector(context, outputs)
    }
}

/// Hands everything to all pipelines that have it as a receiver: `forward`. Any thread.
package final class ForwardConnector: Consumer, PipelineComponent {
    private let outputs: ConnectorOutputs
    private let passed: Counter

    package init(_ context: ComponentContext, _ outputs: [PipelineOutput]) {
        self.outputs = ConnectorOutputs(outputs)
        passed = context.account.counter(.passed)
    }

    package var input: PipelineInput { outputs.input.behind(self) }

    package func consume(_ batch: Batch) -> Refusal? {
        let copy = batch.copy()
        if let refusal = outputs.consume(copy, entry: batch.entry, [passed]) { return refusal }
        batch.entry = nil
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        passed.add(batch.items)
        outputs.drop(batch, because: refusal)
    }
}
