internal import NIOCore
internal import NIOPosix

/// The connections of one event loop, of all servers but those of own pages, that are served in turn: those that have taken more time than their
/// requests were worth, those of many that have earned nothing yet, and those of many that are busy: who has taken least lately
/// comes first.
///
/// However many they are, the others wait a few milliseconds for them, and of those in debt keep more than half of the
/// loop's time. One timer for each kind. Those of own pages are another such group: a flood of one is none of the other's.
/// Event loop only.
final class LoopTurns: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the variables are touched on `eventLoop` only; its thread's variable gives no other.
    /// How long those that wait for a turn are served in a row.
    private static let turnsTime = TimeAmount.milliseconds(2)
    /// How long the others are served after turns of those in debt, undisturbed, at least.
    private static let debtorsPause = TimeAmount.milliseconds(3)
    /// After those of busy ones the loop looks once at who else is there.
    private static let busyPause = TimeAmount.microseconds(100)
    /// How long busy connections are served in a row, before the loop looks at the others.
    private static let roundTime = TimeAmount.milliseconds(2 * Int64(WorkBudget.slowness))
    /// How much of that is not for connections that have earned nothing.
    private static let roundTimeKept = TimeAmount.microseconds(1500 * Int64(WorkBudget.slowness))
    /// Of the last tenth of a second or two.
    private static let loadedTime = 50_000_000
    /// Nanoseconds: what a server's part of one takes with a key of 2048 bits.
    private static let handshakeTime = 1_000_000
    /// A loop has its thread to itself.
    private static let (ofThread, ofThreadsPages) = (
        ThreadSpecificVariable<LoopTurns>(), ThreadSpecificVariable<LoopTurns>()
    )

    private let eventLoop: any EventLoop
    private var debtors = TurnQueue<ReadGate>()
    private var busy = TurnQueue<ReadGate>()
    private var areDebtorsScheduled = false
    private var isBusyScheduled = false
    private var isServing = false
    /// Those that want another turn while turns are taken.
    private var returned: [ReadGate] = []
    private var isInRound = false
    /// Made once: a closure for each round is an allocation.
    private var endRound: @Sendable () -> Void = {}
    private var roundLeft = TimeAmount.zero
    /// Time taken for all connections.
    private var recent: RecentTime

    /// Work that is done beside the loop.
    let beside: BesideQueue

    private init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        recent = RecentTime(now: eventLoop.now)
        beside = BesideQueue(eventLoop)
        endRound = { [weak self] in self?.isInRound = false }
    }

    /// Those of the loop that this is called on.
    static func of(_ eventLoop: any EventLoop, servesPages: Bool = false) -> LoopTurns {
        eventLoop.preconditionInEventLoop()
        let ofThread = servesPages ? ofThreadsPages : ofThread
        if let turns = ofThread.currentValue, turns.eventLoop === eventLoop { return turns }
        let turns = LoopTurns(eventLoop)
        ofThread.currentValue = turns
        return turns
    }

    /// How many connections in debt wait for their turn.
    var count: Int { debtors.count + returned.count }

    /// Whether so many wait that what they have read takes much memory.
    var areMany: Bool { count + busy.count > 16 }

    /// Calls `takeTurn` of the gate when those that owe less have had theirs; when it owes nothing, as soon as the loop has
    /// looked at the others.
    func queue(_ gate: ReadGate) {
        guard !isServing else { return returned.append(gate) }
        let credit = gate.account.work.credit
        if credit > 0, gate.account.work.isProven {
            busy.append(gate, debt: gate.account.recent.nanoseconds(at: eventLoop.now))
            scheduleBusy()
        } else {
            // A handshake takes as long as a thousand first requests: these do not wait for it.
            debtors.append(gate, debt: max(-credit, gate.isUngreeted ? Self.handshakeTime : 0))
            scheduleDebtors(Self.debtorsPause)
        }
    }

    private func scheduleBusy() {
        guard !isBusyScheduled else { return }
        isBusyScheduled = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.busyPause) {
            let turns = bound.value
            turns.isBusyScheduled = false
            _ = turns.serve(\.busy)
            if turns.busy.count > 0 { turns.scheduleBusy() }
        }
    }

    private func scheduleDebtors(_ pause: TimeAmount) {
        guard !areDebtorsScheduled else { return }
        areDebtorsScheduled = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: pause) {
            let turns = bound.value
            let time = turns.serve(\.debtors)
            turns.areDebtorsScheduled = false
            // However long a turn took, the others have more of the time.
            if turns.debtors.count > 0 {
                turns.scheduleDebtors(max(Self.debtorsPause, .nanoseconds(time.nanoseconds * 3 / 2)))
            }
        }
    }

    /// Lets those in a queue have their turns until a few milliseconds are over; who comes back waits for the next time.
    /// The second is of another class of debts each time: however many little debtors there are, all others have turns, too.
    /// Both have theirs however long they take: where others have most of the processors' time, each takes all of that.
    /// - Returns: how long it took.
    private func serve(_ queue: ReferenceWritableKeyPath<LoopTurns, TurnQueue<ReadGate>>) -> TimeAmount {
        isServing = true
        let began = eventLoop.now
        var served = 0
        while served < 2 || eventLoop.now - began < Self.turnsTime,
            let gate = served == 1 ? self[keyPath: queue].popNext() : self[keyPath: queue].popFirst()
        {
            gate.takeTurn()
            served += 1
        }
        isServing = false
        let waiting = returned
        returned = []
        for gate in waiting { self.queue(gate) }
        return eventLoop.now - began
    }

    // MARK: - Rounds

    /// Whether a connection may be served now that has earned nothing, or is busy. Those of one round of the loop have a
    /// few milliseconds together: however many they are, the others do not wait for them.
    func hasTime(forUnproven isUnproven: Bool) -> Bool {
        if isServing { return false }
        if !isInRound {
            isInRound = true
            roundLeft = Self.roundTime
            // It ends when every connection that had something to say was asked.
            eventLoop.execute(endRound)
        }
        return roundLeft > (isUnproven ? Self.roundTimeKept : .zero)
    }

    /// Whether connections took much of the loop's time lately: more than a quarter to a half.
    func isLoaded(_ now: NIODeadline) -> Bool { recent.nanoseconds(at: now) > Self.loadedTime }

    /// Time was taken for a connection.
    /// - Parameter inRound: whether for one that has earned nothing, or is busy.
    func took(_ time: TimeAmount, now: NIODeadline, inRound: Bool) {
        recent.add(time, now: now)
        if inRound { roundLeft = roundLeft - time }
    }
}

/// Who waits for a turn: the smallest debt first, in classes that double, in the order of arrival within each: who has
/// just begun to owe does not wait for those that owe most. An operation costs the same however many wait.
struct TurnQueue<Element> {
    /// 1 µs, then twice as much each; the first is for those that owe nothing, the last for all the rest.
    private static var classCount: Int { 24 }
    private var classes = [[Element]](repeating: [], count: classCount)
    /// How many of each class are taken already.
    private var taken = [Int](repeating: 0, count: classCount)
    /// Where `popNext` looks first.
    private var nextClass = 0
    private(set) var count = 0

    init() {}

    /// - Parameter debt: nanoseconds; below zero nothing is owed.
    mutating func append(_ element: Element, debt: Int) {
        let microseconds = max(debt, 0) / 1_000
        let index = min(Int.bitWidth - microseconds.leadingZeroBitCount, Self.classCount - 1)
        classes[index].append(element)
        count += 1
    }

    mutating func popFirst() -> Element? {
        classes.indices.first { taken[$0] < classes[$0].count }.map { pop($0) }
    }

    /// Who came first of those that owe nothing.
    mutating func popWithoutDebt() -> Element? {
        taken[0] < classes[0].count ? pop(0) : nil
    }

    /// Who came first in the next class that has any: one class after the other, whatever is owed.
    mutating func popNext() -> Element? {
        for offset in classes.indices {
            let index = (nextClass + offset) % Self.classCount
            guard taken[index] < classes[index].count else { continue }
            nextClass = (index + 1) % Self.classCount
            return pop(index)
        }
        return nil
    }

    private mutating func pop(_ index: Int) -> Element {
        let element = classes[index][taken[index]]
        taken[index] += 1
        count -= 1
        // What was taken is let go when it is at least half: each is moved once for each that was taken.
        if taken[index] * 2 >= classes[index].count {
            classes[index].removeFirst(taken[index])
            taken[index] = 0
        }
        return element
    }
}
