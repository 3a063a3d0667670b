internal import AuditLog
internal import Logging
internal import NIOCore
internal import Pipeline
import Synchronization

/// An audit event of the gateway itself, which took place when it was made.
package struct OwnEvent: Sendable {
    fileprivate let name: String
    fileprivate let action: String
    fileprivate let outcome: String
    fileprivate let time: UInt64
    fileprivate let attributes: [(key: String, text: String)]

    /// - Parameters:
    ///   - action: `audit.action`, upper-case.
    ///   - outcome: `audit.outcome`.
    ///   - attributes: further ones, none of which has a key of the required ones.
    package init(
        _ name: String, action: String, outcome: String = "success",
        _ attributes: [(key: String, text: String)]
    ) {
        (self.name, self.action, self.outcome) = (name, action, outcome)
        time = UInt64(max(0, SystemClock.unixNanoseconds()))
        self.attributes = attributes
    }
}

/// The gateway's own events that wait for the log. Any thread.
final class OwnEvents: Sendable {
    /// Events of one kind of which not each is kept.
    private struct Bounded {
        /// Since the last one that was kept.
        var count = 0
        var last: OwnEvent
        /// The clock's time before which none is kept.
        var waitsUntil = Int64.min
    }

    private struct State {
        var events: [AuditEvent] = []
        var bounded: [String: Bounded] = [:]
        /// Whether anybody wants them.
        var areKept = false
    }

    private let state = Mutex(State())
    private let target: String
    private let logger: Logger

    /// What waits for a log that is away.
    private static let eventsMax = 1000
    /// Of one kind one event is kept in this time.
    static let interval = TimeAmount.seconds(10)

    /// - Parameter target: `audit.target.id`.
    init(target: String, logger: Logger) {
        self.target = target
        self.logger = logger
    }

    /// From now on they are kept.
    func keep() { state.withLock { $0.areKept = true } }

    /// Adds one, unless nobody wants them.
    /// - Parameters:
    ///   - kind: nil for one that is kept in any case.
    ///   - now: nanoseconds of a monotonic clock.
    /// - Returns: whether there is anything to commit.
    @discardableResult
    func add(_ event: OwnEvent, boundedAs kind: String? = nil, now: Int64) -> Bool {
        guard let kind else {
            append(event, event.attributes)
            return true
        }
        return state.withLock { state in
            guard state.areKept else { return false }
            var bounded = state.bounded[kind] ?? Bounded(last: event)
            bounded.count += 1
            bounded.last = event
            state.bounded[kind] = bounded
            // Who comes after the first one in this time is committed with it.
            return bounded.count == 1 && now >= bounded.waitsUntil
        }
    }

    /// Adds one event of each kind of which some came and whose turn it is.
    /// - Parameters:
    ///   - now: nanoseconds of a monotonic clock.
    ///   - isEnd: it is everybody's turn.
    func addBounded(now: Int64, isEnd: Bool = false) {
        let due = state.withLock { state in
            var due: [Bounded] = []
            for (kind, bounded) in state.bounded where bounded.count > 0 {
                guard isEnd || now >= bounded.waitsUntil else { continue }
                due.append(bounded)
                state.bounded[kind]?.count = 0
                state.bounded[kind]?.waitsUntil = now + Self.interval.nanoseconds
            }
            return due
        }
        for each in due {
            append(each.last, each.last.attributes + [("sluice.events", "\(each.count)")])
        }
    }

    private func append(_ own: OwnEvent, _ attributes: [(key: String, text: String)]) {
        do throws(EventProblem) {
            let event = try AuditEventReader.own(
                own.name, action: own.action, outcome: own.outcome, time: own.time, target: target,
                attributes)
            let isFull = state.withLock { state in
                guard state.areKept else { return false }
                guard state.events.count < Self.eventsMax else { return true }
                state.events.append(event)
                return false
            }
            if isFull {
                logger.error("An own audit event is lost: too many wait.", metadata: ["event": "\(own.name)"])
            }
        } catch {
            logger.error(
                "An own audit event is lost.", metadata: ["event": "\(own.name)", "error": "\(error)"])
        }
    }

    /// Those that wait.
    var waiting: [AuditEvent] { state.withLock { $0.events } }

    /// Forgets the first ones, which are in the log.
    func remove(_ count: Int) { state.withLock { $0.events.removeFirst(count) } }
}
