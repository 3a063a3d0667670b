internal import AuditLog
internal import Logging
internal import Pipeline
import Synchronization

/// The gateway's own events that wait for the log. Any thread.
final class OwnEvents: Sendable {
    private struct State {
        var events: [AuditEvent] = []
        /// Whether anybody wants them.
        var areKept = false
    }

    private let state = Mutex(State())
    private let logger: Logger

    /// What waits for a log that is away.
    private static let eventsMax = 1000

    init(logger: Logger) {
        self.logger = logger
    }

    /// From now on they are kept.
    func keep() { state.withLock { $0.areKept = true } }

    /// Adds one, unless nobody wants them.
    func add(
        _ name: String, action: String, outcome: String = "success", target: String,
        _ attributes: [(key: String, text: String)]
    ) {
        do throws(EventProblem) {
            let event = try AuditEventReader.own(
                name, action: action, outcome: outcome, time: UInt64(max(0, SystemClock.unixNanoseconds())),
                target: target, attributes)
            let isFull = state.withLock { state in
                guard state.areKept else { return false }
                guard state.events.count < Self.eventsMax else { return true }
                state.events.append(event)
                return false
            }
            if isFull {
                logger.error("An own audit event is lost: too many wait.", metadata: ["event": "\(name)"])
            }
        } catch {
            logger.error("An own audit event is lost.", metadata: ["event": "\(name)", "error": "\(error)"])
        }
    }

    /// Those that wait.
    var waiting: [AuditEvent] { state.withLock { $0.events } }

    /// Forgets the first ones, which are in the log.
    func remove(_ count: Int) { state.withLock { $0.events.removeFirst(count) } }
}
