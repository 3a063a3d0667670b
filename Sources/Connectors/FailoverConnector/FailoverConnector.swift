internal import Configuration
internal import Logging
package import NIOCore
internal import OTLP
package import Pipeline
import Synchronization

extension ComponentType {
    /// `failover`.
    package static let failover = connector(
        "failover", stability: .alpha, pairs: Set(Signal.allCases.map { SignalPair($0, $0) }),
        FailoverConfig.self
    ) {
        try FailoverConnector($0, $1, $2)
    }
}

/// Hands requests to the first level of pipelines that takes them: `failover`. Any thread.
///
/// What fails goes to the next level, at once, and so do later requests; now and then a request tries the levels above.
/// Levels whose exporters have no queue say later whether they took something: the request is kept until then.
package final class FailoverConnector: Consumer, PipelineComponent {
    private struct State {
        /// The level that requests are given to first.
        var level = 0
        /// When a request tries the levels above.
        var nextTry = NIODeadline.distantPast
    }

    private let config: FailoverConfig
    private let levels: [ConnectorOutputs]
    private let joined: PipelineInput
    private let logger: Logger
    private let now: @Sendable () -> NIODeadline
    private let entered: Counter
    private let left: Counter
    /// What is offered to a further level after one had taken it and failed.
    private let made: Counter
    private let state = Mutex(State())

    package init(
        _ config: FailoverConfig, _ context: ComponentContext, _ outputs: [PipelineOutput],
        now: @escaping @Sendable () -> NIODeadline = { .now() }
    ) throws {
        self.config = config
        self.now = now
        logger = context.logger
        levels = try config.levels.map { try ConnectorOutputs(outputs, named: $0, key: "priority_levels") }
        joined = .joining(levels.map(\.input))
        entered = context.account.counter(.entered)
        left = context.account.counter(.left)
        made = context.account.counter(.made)
    }

    package var input: PipelineInput { joined.behind(self) }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        let first = firstLevel()
        guard let refusal = offer(batch, from: first, entry: batch.entry, [entered, left]) else {
            batch.entry = nil
            return nil
        }
        return refusal
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        entered.add(batch.items)
        left.add(batch.items)
        levels[levels.count - 1].drop(batch, because: refusal)
    }

    private static let allFailed = "All provided pipelines return errors"

    /// Where a request begins.
    private func firstLevel() -> Int {
        let now = now()
        return state.withLock { state in
            guard state.level > 0, now >= state.nextTry else { return state.level }
            state.nextTry = now + TimeAmount(config.retryInterval)
            return 0
        }
    }

    /// Offers a batch to a level and those below it.
    /// - Returns: why none took it.
    private func offer(
        _ batch: Batch, from first: Int, entry: Batch.Entry?, _ counters: [Counter]
    ) -> Refusal? {
        var last: Refusal?
        for level in first..<levels.count {
            let offered = awaited(batch, at: level)
            guard let refusal = levels[level].consume(offered, entry: entry, counters) else {
                if !levels[level].input.answersLater { succeeded(level) }
                return nil
            }
            guard isFailure(refusal) else { return refusal }
            failed(level, refusal)
            last = refusal
        }
        guard let last else { return Refusal(.unavailable, Self.allFailed) }
        return Refusal(
            last.reason, "\(Self.allFailed): \(last.message)", isPermanent: last.isPermanent,
            retryAfterSeconds: last.retryAfterSeconds, code: last.code)
    }

    /// The batch for a level, which tells this connector how it ended, if the level knows only later.
    private func awaited(_ batch: Batch, at level: Int) -> Batch {
        guard levels[level].input.answersLater, batch.sliceCount > 0 else { return batch.copy() }
        return batch.acknowledged { shares in
            Acknowledgement(shares: shares) { [self] outcome in ended(batch, at: level, outcome) }
        }
    }

    private func ended(_ batch: Batch, at level: Int, _ outcome: Outcome) {
        guard case .refused(let refusal) = outcome, refusal.reason != .shuttingDown, isFailure(refusal) else {
            if case .refused = outcome {} else { succeeded(level) }
            return batch.settle(outcome)
        }
        failed(level, refusal)
        guard level + 1 < levels.count else {
            return batch.settle(
                .refused(
                    Refusal(
                        refusal.reason, "\(Self.allFailed): \(refusal.message)",
                        isPermanent: refusal.isPermanent)))
        }
        // The level before has counted the end of these items; for the next one they are new.
        if let refusal = offer(batch, from: level + 1, entry: nil, [made, left]) {
            batch.settle(.refused(refusal))
        }
    }

    private func isFailure(_ refusal: Refusal) -> Bool {
        guard !config.errorTexts.isEmpty else { return true }
        let message = refusal.message.lowercased()
        return config.errorTexts.contains { message.contains($0) }
    }

    private func failed(_ level: Int, _ refusal: Refusal) {
        let now = now()
        let isNew = state.withLock { state in
            guard state.level == level, level + 1 < levels.count else { return false }
            state.level = level + 1
            state.nextTry = now + TimeAmount(config.retryInterval)
            return true
        }
        guard isNew else { return }
        logger.warning(
            "A level of pipelines failed; data goes to the next one.",
            metadata: [
                "level": "\(config.levels[level].joined(separator: ", "))",
                "next": "\(config.levels[level + 1].joined(separator: ", "))", "reason": "\(refusal.message)",
            ])
    }

    private func succeeded(_ level: Int) {
        let isNew = state.withLock { state in
            guard level < state.level else { return false }
            state.level = level
            return true
        }
        guard isNew else { return }
        logger.info(
            "A level of pipelines takes data again.",
            metadata: ["level": "\(config.levels[level].joined(separator: ", "))"])
    }
}
