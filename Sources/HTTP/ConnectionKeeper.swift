package import NIOCore

/// Decides when a server pings, drains and closes one HTTP/2 connection: the keepalive of a gRPC server.
///
/// Time and events in, an action out; no clock and no timer of its own. Look at it now and then through `check`: the
/// limits are kept to the precision of these looks. Allocates nothing but the reasons it gives.
package struct ConnectionKeeper {
    /// What a connection may do.
    package struct Limits: Sendable, Equatable {
        /// Until the client's SETTINGS must have come.
        package var handshake = TimeAmount.minutes(1)
        /// Time without streams until the connection is drained; nil = for ever. `max_connection_idle`.
        package var idle: TimeAmount?
        /// Age at which the connection is drained, give or take a tenth; nil = never. `max_connection_age`.
        package var age: TimeAmount?
        /// Time for the streams to end after that; nil = for ever. `max_connection_age_grace`.
        package var ageGrace: TimeAmount?
        /// Silence until the client is pinged; nil = never. `time`.
        package var pingAfter: TimeAmount? = .hours(2)
        /// Time for any sign of life after that. `timeout`.
        package var pingTimeout = TimeAmount.seconds(20)
        /// Least time between a client's pings. `min_time`.
        package var pingMinTime = TimeAmount.minutes(5)
        /// Whether that time also holds without streams, where otherwise two hours do. `permit_without_stream`.
        package var pingsWithoutStreams = false

        /// The defaults of gRPC servers.
        package init() {}

        /// How often `check` should be called, so that no limit is missed by much.
        package var checkInterval: TimeAmount {
            let all = [handshake, idle, age, ageGrace, pingAfter, pingTimeout].compactMap { $0 }
            let shortest = all.min() ?? handshake
            return min(max(.nanoseconds(shortest.nanoseconds / 8), .milliseconds(10)), .seconds(15))
        }
    }

    /// What the connection's owner must do now. The texts are for the log.
    package enum Action: Equatable {
        case none
        /// Send a PING.
        case ping
        /// Send GOAWAY and let the streams end.
        case drain(String)
        /// Close at once.
        case close(String)
    }

    /// Pings too many that are tolerated until the connection is given up.
    private static let strikesMax = 2
    /// Least time between pings without streams, unless `pingsWithoutStreams`.
    private static let pingMinTimeWithoutStreams = TimeAmount.hours(2)

    private let limits: Limits
    private let opened: NIODeadline
    private let drainAt: NIODeadline?
    private var requestsSeen = 0
    private var idleSince: NIODeadline
    private var isDraining = false
    private var closeAt: NIODeadline?
    private var pingSent: NIODeadline?
    private var lastPing: NIODeadline?
    private var strikes = 0

    /// A connection that opens now.
    /// - Parameter jitter: -1…1, random: spreads the age, so that connections which opened together do not end together.
    package init(_ limits: Limits, now: NIODeadline, jitter: Double) {
        self.limits = limits
        opened = now
        idleSince = now
        drainAt = limits.age.map { $0.limit(from: now, jitter: jitter) }
    }

    /// The client sent a PING.
    /// - Returns: whether it has sent too many: then GOAWAY with ENHANCE_YOUR_CALM and the end are due.
    package mutating func pingReceived(openStreams: Int, now: NIODeadline) -> Bool {
        defer { lastPing = now }
        guard let lastPing else { return false }
        let alone = openStreams == 0 && !limits.pingsWithoutStreams
        if now - lastPing < (alone ? Self.pingMinTimeWithoutStreams : limits.pingMinTime) { strikes += 1 }
        return strikes > Self.strikesMax
    }

    /// An answer was given. Clients ping to measure when data comes, so their pings are counted from zero again.
    package mutating func answered() {
        strikes = 0
        lastPing = nil
    }

    /// The connection is being drained for a reason that is not the keeper's.
    package mutating func drained() {
        isDraining = true
    }

    /// What is due.
    /// - Parameters:
    ///   - lastRead: when bytes last came from the client.
    ///   - requests: how many requests have come since the connection opened.
    ///   - isGreeted: whether the client's SETTINGS have come.
    package mutating func check(
        now: NIODeadline, lastRead: NIODeadline, requests: Int, openStreams: Int, isGreeted: Bool
    ) -> Action {
        if !isGreeted, now - opened >= limits.handshake {
            return .close("the client did not speak HTTP/2 in time")
        }
        if let closeAt, now >= closeAt { return .close("max_connection_age_grace ended") }
        if openStreams > 0 || requests != requestsSeen {
            requestsSeen = requests
            idleSince = now
        }
        if !isDraining {
            if let drainAt, now >= drainAt {
                isDraining = true
                closeAt = limits.ageGrace.map { now + $0 }
                return .drain("max_connection_age")
            }
            if let idle = limits.idle, now - idleSince >= idle {
                isDraining = true
                return .drain("max_connection_idle")
            }
        }
        return checkPing(now: now, lastRead: lastRead)
    }

    private mutating func checkPing(now: NIODeadline, lastRead: NIODeadline) -> Action {
        guard let pingAfter = limits.pingAfter else { return .none }
        if let sent = pingSent {
            if lastRead > sent {
                pingSent = nil
            } else if now - sent >= limits.pingTimeout {
                return .close("no answer to a keepalive ping within the timeout")
            }
            return .none
        }
        guard now - lastRead >= pingAfter else { return .none }
        pingSent = now
        return .ping
    }
}

extension TimeAmount {
    /// When a connection that opens now reaches this age, give or take a tenth.
    /// - Parameter jitter: -1…1.
    package func limit(from now: NIODeadline, jitter: Double) -> NIODeadline {
        // Whoever writes centuries means never.
        let (age, overflow) = nanoseconds.addingReportingOverflow(Int64(Double(nanoseconds) / 10 * jitter))
        return overflow ? .distantFuture : now + .nanoseconds(age)
    }
}
