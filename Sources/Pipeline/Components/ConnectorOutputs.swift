internal import Configuration

/// Some of the pipelines behind a connector, as one consumer.
package struct ConnectorOutputs: Sendable {
    package let input: PipelineInput
    /// Count what is brought into each.
    private let brought: [Counter]

    /// - Parameter outputs: at least one.
    package init(_ outputs: [PipelineOutput]) {
        input = .joining(outputs.map(\.input))
        brought = outputs.map { $0.account.counter(.passed) }
    }

    /// Those of a connector's pipelines that are named.
    /// - Throws: one of them does not have the connector as a receiver.
    package init(_ outputs: [PipelineOutput], named names: [String], key: String) throws(ComponentError) {
        var chosen: [PipelineOutput] = []
        for name in names {
            guard let output = outputs.first(where: { $0.pipeline.map { "\($0)" } == name }) else {
                throw ComponentError(
                    "\(key) names pipeline \(name), which does not have this connector among its receivers")
            }
            chosen.append(output)
        }
        guard !chosen.isEmpty else { throw ComponentError("\(key) names no pipeline") }
        self.init(chosen)
    }

    /// Has a batch counted by whoever takes it: by what brought it here, by the connector's own counters, and as brought into
    /// the pipelines.
    package func bring(_ batch: Batch, entry: Batch.Entry?, _ counters: [Counter]) {
        batch.entry = Batch.Entry(after: entry, counters + brought, items: batch.items)
    }

    /// Hands a batch to the pipelines. When they take it, `counters` count its items, and so does what brought it to the
    /// connector.
    ///
    /// - Parameters:
    ///   - entry: of the batch as the connector got it; nil when it was counted before.
    ///   - counters: the connector's own.
    package func consume(_ batch: Batch, entry: Batch.Entry?, _ counters: [Counter]) -> Refusal? {
        bring(batch, entry: entry, counters)
        let refusal = input.consumer.consume(batch)
        if refusal != nil { batch.entry = nil }
        return refusal
    }

    /// Counts a batch that they refused, for good. Settles it.
    package func drop(_ batch: Batch, because refusal: Refusal) {
        for counter in brought { counter.add(batch.items) }
        input.consumer.drop(batch, because: refusal)
    }
}
