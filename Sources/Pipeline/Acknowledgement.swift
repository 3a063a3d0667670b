import Synchronization

// Who waits for what, in a minute.
//
// A client that was promised more than "queued" (`wait_for_result`, `storage`, no sending queue) waits for one answer.
// Its request travels as slices of batches, and a slice holds one share of an `Acknowledgement`: whoever ends the slice
// settles that share, once. Who divides a slice makes a node below the slice's own and gives each piece a share of it:
//
//     client ◀─ request ◀─ destinations ┬◀─ destination 1 ◀─ parts ┬◀─ piece 1
//                          (fan-out)    │              (batch cut) └◀─ piece 2
//                                       └◀─ destination 2
//
// A node whose last share is settled joins the outcomes and settles its parent; the root answers the client. The worst
// outcome wins, and there are two ways to join:
//
// - `parts`: different data, one destination. What is rejected of each adds up.
// - `destinations`: the same data, several destinations. Of what they reject only the largest count is told, because it
//   may be the same items. That one had no room is no refusal as long as another took the data: the client would send
//   it to both again. (That a disk failed is a refusal, because storage was promised.)
//
// A node that nobody was given a share of may be thrown away: its parent knows nothing of it.

/// The answer that somebody waits for, owed by every part of a request. Any thread.
package final class Acknowledgement: Sendable {
    /// How the outcomes of a node's shares become one.
    package enum Joining: Sendable {
        /// They are of different data for one destination.
        case parts
        /// They are of the same data for several destinations.
        case destinations
    }

    private enum Parent: Sendable {
        case client(@Sendable (Outcome) -> Void)
        case store(@Sendable (Outcome, _ uncounted: Int) -> Void)
        case node(Acknowledgement)
    }

    fileprivate struct State {
        var owed: Int
        var refusal: Refusal?
        /// That a destination's queue is full, on disk or in memory.
        var noRoom: Refusal?
        /// Whether at least one share was not refused.
        var isTaken = false
        var rejected = 0
        var message = ""
        var uncounted = 0
    }

    private let state: Mutex<State>
    private let joining: Joining
    private let parent: Parent

    private init(_ shares: Int, _ joining: Joining, _ parent: Parent) {
        precondition(shares > 0, "an acknowledgement that nobody owes is never settled")
        state = Mutex(State(owed: shares))
        self.joining = joining
        self.parent = parent
    }

    /// The root: a client's answer.
    /// - Parameters:
    ///   - shares: settlements that are owed, of parts of one request.
    ///   - answer: called exactly once, on the thread of the last settlement.
    package convenience init(shares: Int = 1, answer: @escaping @Sendable (Outcome) -> Void) {
        self.init(shares, .parts, .client(answer))
    }

    /// The root of what a store keeps: is told, too, of how many items nobody has counted the end.
    convenience init(stored shares: Int, answer: @escaping @Sendable (Outcome, _ uncounted: Int) -> Void) {
        self.init(shares, .parts, .store(answer))
    }

    /// A node below a share of `parent`, which it settles when its own shares are.
    package convenience init(_ joining: Joining, shares: Int, below parent: Acknowledgement) {
        self.init(shares, joining, .node(parent))
    }

    /// Settles one share.
    /// - Parameter uncounted: items whose end no counter has seen, because a store keeps them for the next start.
    package func settle(_ outcome: Outcome, uncounted: Int = 0) {
        let last: (outcome: Outcome, uncounted: Int)? = state.withLock { state in
            precondition(state.owed > 0, "an acknowledgement was settled more often than it was owed")
            state.owed -= 1
            state.uncounted += uncounted
            state.add(outcome, joining)
            return state.owed == 0 ? (state.outcome(joining), state.uncounted) : nil
        }
        guard let last else { return }
        switch parent {
        case .client(let answer): answer(last.outcome)
        case .store(let answer): answer(last.outcome, last.uncounted)
        case .node(let parent): parent.settle(last.outcome, uncounted: last.uncounted)
        }
    }
}

extension Acknowledgement.State {
    fileprivate mutating func add(_ outcome: Outcome, _ joining: Acknowledgement.Joining) {
        switch outcome {
        case .accepted:
            isTaken = true
        case .partial(let items, let message):
            isTaken = true
            rejected = joining == .parts ? rejected + items : max(rejected, items)
            if self.message.isEmpty { self.message = message }
        case .refused(let refusal) where refusal.reason == .queueFull:
            noRoom = Refusal.worse(noRoom, refusal)
        case .refused(let refusal):
            self.refusal = Refusal.worse(self.refusal, refusal)
        }
    }

    fileprivate func outcome(_ joining: Acknowledgement.Joining) -> Outcome {
        let isRoomEnough = joining == .destinations && isTaken
        let worst = isRoomEnough ? refusal : Refusal.worse(refusal, noRoom)
        if let worst { return .refused(worst) }
        return rejected > 0 ? .partial(rejectedItems: rejected, message: message) : .accepted
    }
}

extension Refusal {
    /// The one of two refusals that is told; the first of equals.
    fileprivate static func worse(_ one: Refusal?, _ other: Refusal?) -> Refusal? {
        guard let one, let other else { return one ?? other }
        return other.weight > one.weight ? other : one
    }

    /// What may work is worth another try, so it is told rather than what never will. And what a stop left undone is not
    /// done by what became of the rest: a store must keep it.
    private var weight: Int {
        if isPermanent { return 0 }
        switch reason {
        case .queueFull: return 1
        case .shuttingDown: return 3
        default: return 2
        }
    }
}
