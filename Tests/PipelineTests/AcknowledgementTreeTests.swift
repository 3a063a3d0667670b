import OTLP
import Pipeline
import TestSupport
import Testing

/// What a client is told of a request that was divided in every way, against a model that looks at the whole tree.
@Suite("Acknowledgement, any tree")
struct AcknowledgementTreeTests {
    private indirect enum Tree {
        case end(Outcome)
        case parts([Tree])
        case destinations([Tree])

        static func random(_ random: inout SeededRandom, depth: Int) -> Tree {
            guard depth > 0, random.below(4) > 0 else { return .end(outcome(&random)) }
            let below = (0...random.below(4)).map { _ in Tree.random(&random, depth: depth - 1) }
            return random.below(2) == 0 ? .parts(below) : .destinations(below)
        }

        private static func outcome(_ random: inout SeededRandom) -> Outcome {
            switch random.below(12) {
            case 0..<6: .accepted
            case 6, 7: .partial(rejectedItems: random.below(5) + 1, message: "some")
            case 8, 9: .refused(Refusal(.queueFull, "full"))
            case 10: .refused(Refusal(random.below(2) == 0 ? .unavailable : .storage, "soon"))
            default:
                random.below(3) > 0
                    ? .refused(Refusal(.rejected, "never", isPermanent: true))
                    : .refused(Refusal(.shuttingDown, "stopping"))
            }
        }

        /// Reasons to refuse, each as often as it occurs, as a client would find them who could see everything: want of
        /// room does not count below a node of destinations of which another one took the data.
        var reasons: [Refusal.Reason] {
            switch self {
            case .end(.refused(let refusal)): return [refusal.reason]
            case .end: return []
            case .parts(let below): return below.flatMap(\.reasons)
            case .destinations(let below):
                let isTaken = below.contains { $0.reasons.isEmpty }
                return below.flatMap { tree in
                    let reasons = tree.reasons
                    let isRoomOnly = Self.worst(reasons) == .queueFull
                    return isTaken && isRoomOnly ? [] : reasons
                }
            }
        }

        /// The largest number of items of which every one was rejected by somebody for sure.
        var rejected: Int {
            switch self {
            case .end(.partial(let items, _)): items
            case .end: 0
            case .parts(let below): below.reduce(0) { $0 + ($1.isTaken ? $1.rejected : 0) }
            case .destinations(let below): below.filter(\.isTaken).map(\.rejected).max() ?? 0
            }
        }

        private var isTaken: Bool { reasons.isEmpty }

        static func worst(_ reasons: [Refusal.Reason]) -> Refusal.Reason? {
            for reason in [.shuttingDown, .unavailable, .storage, .queueFull, .rejected] as [Refusal.Reason]
            where reasons.contains(reason) { return reason }
            return nil
        }

        /// Gives every end its share.
        func plant(below share: Acknowledgement, _ ends: inout [(Acknowledgement, Outcome)]) {
            switch self {
            case .end(let outcome): ends.append((share, outcome))
            case .parts(let below):
                let node = Acknowledgement(.parts, shares: below.count, below: share)
                for tree in below { tree.plant(below: node, &ends) }
            case .destinations(let below):
                let node = Acknowledgement(.destinations, shares: below.count, below: share)
                for tree in below { tree.plant(below: node, &ends) }
            }
        }
    }

    /// If it failed, a client would be told that its data arrived when it did not, or send again what everybody has.
    @Test(
        "however a request is divided, and in whatever order its parts end, the answer is the same: the worst"
    )
    func anyTree() {
        for seed in 0..<1000 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let tree = Tree.random(&random, depth: 4)
            let worst = Tree.worst(tree.reasons)
            for _ in 0..<3 {
                let answers = Answers()
                var ends: [(Acknowledgement, Outcome)] = []
                tree.plant(below: answers.acknowledgement(), &ends)
                for (share, outcome) in ends.shuffled(using: &random) {
                    #expect(answers.all.isEmpty, "seed \(seed)")
                    share.settle(outcome)
                }
                #expect(answers.all.count == 1, "seed \(seed)")
                switch answers.all.first {
                case .refused(let refusal):
                    // Of those that may pass any one is told.
                    let passing: [Refusal.Reason] = [.unavailable, .storage]
                    let same = refusal.reason == worst
                    let equal = passing.contains(refusal.reason) && worst.map(passing.contains) == true
                    #expect(
                        same || equal, "seed \(seed): \(refusal.reason), not \(String(describing: worst))")
                case .partial(let items, _):
                    #expect(worst == nil && items == tree.rejected, "seed \(seed)")
                case .accepted: #expect(worst == nil && tree.rejected == 0, "seed \(seed)")
                case nil: break
                }
            }
        }
    }
}
