/// Gives one immutable batch to several consumers.
///
/// A consumer that refuses never makes the others' data fail: as long as one took the batch it is accepted, and what the
/// others refused is counted with them as dropped. Only when all refuse does the caller hear of it.
package final class FanOut: Consumer {
    private let consumers: [any Consumer]

    /// - Parameter consumers: at least one.
    package init(_ consumers: [any Consumer]) {
        precondition(!consumers.isEmpty, "a fan-out needs a consumer")
        self.consumers = consumers
    }

    /// A consumer that stands for all of them, without a layer where there is but one.
    package static func joining(_ consumers: [any Consumer]) -> any Consumer {
        consumers.count == 1 ? consumers[0] : FanOut(consumers)
    }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        let shared = batch.shared(among: consumers.count)
        if shared !== batch { shared.entry = batch.entry }
        var refusals: [(any Consumer, Refusal)] = []
        for consumer in consumers {
            if let refusal = consumer.consume(shared) {
                refusals.append((consumer, refusal))
            } else if shared.entry != nil {
                // It made another batch of it, which was counted in. No other thread has this one, or it would have been.
                shared.entry = nil
            }
        }
        if refusals.count == consumers.count {
            return refusals.first { !$0.1.isPermanent }?.1 ?? refusals[0].1
        }
        // The first that took it counted it in.
        if shared !== batch { batch.entry = nil }
        for (consumer, refusal) in refusals { consumer.drop(shared, because: refusal) }
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        batch.seal()
        let shared = batch.shared(among: consumers.count)
        for consumer in consumers { consumer.drop(shared, because: refusal) }
    }
}
