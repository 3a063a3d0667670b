package import NIOCore
package import NIOPosix

/// Why a server ended a connection; the text is a metric's label.
package enum ConnectionEnd: String, Sendable, CaseIterable {
    /// More frames that carry nothing than `FrameBudget` allows.
    case frames = "too_many_frames"
    /// More time than `WorkBudget` allows.
    case time = "too_much_time"
    /// A stream's number that is smaller than one before it and was passed over (RFC 9113 §5.1.1).
    case streamNumber = "stream_number_went_back"
    /// The client did not take what it was sent.
    case unreadAnswers = "unread_answers"
    /// The client had ended its side, and its last answer could not be given in time.
    case halfClosed = "half_closed"
    /// Its incomplete requests would have held more memory than they may.
    case memory = "incomplete_requests"
    /// All connections together would take more memory than they may.
    case connections = "too_many_connections"
    /// The process has nearly as many open files as it may have.
    case descriptors = "open_files"

    /// The error code of GOAWAY (RFC 9113 §7).
    package var http2Code: UInt32 {
        switch self {
        case .frames, .time, .memory, .connections, .descriptors: 11  // ENHANCE_YOUR_CALM
        case .streamNumber: 1  // PROTOCOL_ERROR
        case .unreadAnswers, .halfClosed: 0
        }
    }

    /// What GOAWAY says beside it.
    package var words: StaticString {
        switch self {
        case .frames: "too_many_frames"
        case .time: "too_much_time"
        case .streamNumber: "stream_number_went_back"
        case .unreadAnswers: "unread_answers"
        case .halfClosed: "half_closed"
        case .memory: "incomplete_requests"
        case .connections: "too_many_connections"
        case .descriptors: "open_files"
        }
    }
}

/// Time that was taken of an event loop lately: halved for each tenth of a second that has passed since.
struct RecentTime {
    private static let half = Int64(100_000_000)

    private var taken = 0
    private var since: NIODeadline

    /// None until now.
    init(now: NIODeadline) { since = now }

    /// What is left of it.
    func nanoseconds(at now: NIODeadline) -> Int {
        let passed = (now - since).nanoseconds
        return passed < Self.half ? taken : taken >> (passed / Self.half)
    }

    mutating func add(_ time: TimeAmount, now: NIODeadline) {
        let passed = (now - since).nanoseconds
        if passed >= Self.half {
            taken >>= passed / Self.half
            since = since + .nanoseconds(passed - passed % Self.half)
        }
        taken += Int(time.nanoseconds)
    }
}

/// What one connection of a server has cost, in time and frames, and what it holds. Event loop only.
package final class ConnectionAccount {
    private static let busyTime = 1_000_000 * WorkBudget.slowness

    /// Time taken from the loop.
    package var work: WorkBudget
    /// Frames that carry nothing.
    package var frames: FrameBudget
    /// Time taken lately.
    private(set) var recent: RecentTime
    /// When the read that is being worked on began.
    package internal(set) var now: NIODeadline
    /// Bytes that were read and wait for the connection's turn.
    package internal(set) var waitingBytes = 0
    /// Since when the client has not taken what it was sent; nil while it does.
    package internal(set) var unwritableSince: NIODeadline?
    /// How much work for it is beside the loop (`doBeside`) and not done yet.
    var besideWorks = 0
    /// Where it is done; nil: on the loop.
    let threads: NIOThreadPool?
    /// Where its requests go, a bit each; 0 before the first. Set by the protocol's handler.
    package var routes: UInt64 = 0
    /// The connection's first handler, while it has one.
    package internal(set) var gate: ReadGate?
    /// Ends the connection as its protocol does. Set by the protocol's handler.
    package var end: ((ConnectionEnd) -> Void)?
    /// Whether a part of a request may have been taken and the client has not been told: it would send all of
    /// it again. Set by the protocol's handler.
    package var isHandingOn: (() -> Bool)?

    /// A connection that opens now.
    package init(
        work: WorkBudget.Limits = .init(), frames: FrameBudget.Limits = .init(),
        slowness: Int = WorkBudget.slowness, threads: NIOThreadPool? = nil, now: NIODeadline
    ) {
        self.threads = threads
        self.work = WorkBudget(work, slowness: slowness, now: now)
        self.frames = FrameBudget(frames, now: now)
        self.now = now
        recent = RecentTime(now: now)
    }

    /// Whether it took time that others may have to wait for: more lately than a few requests take.
    /// - Parameter isLoaded: whether its loop has much to do. A hundred that took just below that were served before all that
    ///   had to wait: a polite client's answers took seconds.
    func isBusy(onLoaded isLoaded: Bool) -> Bool {
        recent.nanoseconds(at: now) > (isLoaded ? Self.busyTime / 5 : Self.busyTime)
    }

    /// Work was done for the connection.
    func spend(_ time: TimeAmount, now: NIODeadline, among: Int) {
        work.spend(time, now: now, among: among)
        recent.add(time, now: now)
    }

    /// Does what is to be done with a complete request. The time is the pipelines', not the connection's, as far as what
    /// was received is worth it: a few bytes that are inflated to millions are not.
    /// - Parameters:
    ///   - bytes: of the request as it was received; nil when nothing of it was taken.
    package func excusing<Result>(_ body: () -> Result, bytes: (Result) -> Int?) -> Result {
        guard work.isLow else { return body() }
        let began = ThreadTime.nanoseconds()
        let result = body()
        if let bytes = bytes(result) {
            work.excuse(.nanoseconds(ThreadTime.nanoseconds() - began), bytes: bytes)
        }
        return result
    }

    /// A request was complete: taken, or refused for reasons that are ours.
    /// - Parameters:
    ///   - bytes: of its body as it was received.
    ///   - isTaken: whether it was taken.
    package func earn(bytes: Int, isTaken: Bool = true) {
        work.earn(bytes: bytes, isTaken: isTaken)
        frames.earn()
    }
}
