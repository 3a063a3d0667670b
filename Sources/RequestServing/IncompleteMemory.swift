internal import HTTP
internal import OTLP
internal import Pipeline
internal import Synchronization

/// What the clients of one receiver make it keep before their requests are complete: bodies that are not all there, open
/// streams, header sections in parts, bytes that wait for their turn; and connections that ask for nothing. Any thread.
///
/// Bounded by a share of what the memory limiter leaves for requests: what is left over is for requests that come whole, so
/// that nobody is locked out by requests that never end. Connections have three quarters of it at most.
final class IncompleteMemory: Sendable {
    /// What all connections may hold.
    let limitBytes: Int
    /// What one connection may hold, unless it is a single request.
    let connectionLimitBytes: Int
    /// What the connections from one address may hold together; nil: no bound.
    let addressLimitBytes: Int?

    /// What connections may take together. Of those that are idle the one that has been longest makes room for another.
    private let connectionsLimitBytes: Int
    /// What they take beyond is charged: what some hundred take is part of what the process takes at all.
    private let connectionsFreeBytes: Int
    private let connectionsBytes = Atomic<Int>(0)

    private let ledger: MemoryLedger
    private let used = Atomic<Int>(0)
    private let byAddress = Mutex<[String: Int]>([:])

    /// - Parameter requestBytes: what the memory limiter leaves for requests; `Int.max` where there is none.
    init(_ limits: ConnectionLimits, requestBytes: Int, ledger: MemoryLedger) {
        func share(_ percentage: Int) -> Int {
            requestBytes == .max ? .max : requestBytes / 100 * percentage
        }
        limitBytes = share(limits.incompleteMemoryPercentage)
        connectionLimitBytes = share(limits.connectionMemoryPercentage)
        addressLimitBytes = limits.addressMemoryPercentage > 0 ? share(limits.addressMemoryPercentage) : nil
        connectionsLimitBytes = share(75)
        connectionsFreeBytes = share(6)
        self.ledger = ledger
    }

    /// Whether there are as many connections as there may be.
    var isFull: Bool { connectionsBytes.load(ordering: .relaxed) >= connectionsLimitBytes }

    /// A connection was made that takes so much while nothing is under way.
    func opened(bytes: Int) {
        let (old, new) = connectionsBytes.add(bytes, ordering: .relaxed)
        let charged = chargedBytes(of: new) - chargedBytes(of: old)
        if charged > 0 { ledger.charge(charged) }
    }

    /// A connection has ended.
    func closed(bytes: Int) {
        let (old, new) = connectionsBytes.subtract(bytes, ordering: .relaxed)
        let charged = chargedBytes(of: old) - chargedBytes(of: new)
        if charged > 0 { ledger.release(charged) }
    }

    private func chargedBytes(of bytes: Int) -> Int { max(0, bytes - connectionsFreeBytes) }

    /// Bytes held by all connections.
    var bytes: Int { used.load(ordering: .relaxed) }

    /// Whether so much is held that requests which do not move should end soon.
    var isShort: Bool { bytes > limitBytes / 2 }

    /// Bytes held by the connections from one address; kept only where they are bounded.
    func bytes(from address: String) -> Int { byAddress.withLock { $0[address] ?? 0 } }

    /// A connection holds more, or less.
    /// - Parameter uncharged: of these bytes, those that no payload has charged to the ledger.
    fileprivate func add(_ bytes: Int, uncharged: Int, from address: String?) {
        if bytes != 0 {
            used.add(bytes, ordering: .relaxed)
            if addressLimitBytes != nil, let address {
                byAddress.withLock { held in
                    let sum = (held[address] ?? 0) + bytes
                    held[address] = sum > 0 ? sum : nil
                }
            }
        }
        if uncharged != 0 { ledger.charge(uncharged) }
    }
}

/// What one connection holds of requests that are not complete. Event loop only.
///
/// Counted here at once; what all connections hold together learns of it at the end of each read, so that requests which
/// come whole cost two additions.
final class ConnectionMemory {
    /// What a stream takes here and in nghttp2, while it is open.
    static let streamBytes = 2048
    /// What the slot of a stream takes that has been used, beyond those that are always kept.
    static let slotBytes = 512

    private let shared: IncompleteMemory
    let account: ConnectionAccount
    private let address: String?
    /// Bodies that are not complete, by the capacity of their buffers. Charged to the ledger by themselves.
    var bodyBytes = 0
    /// Requests whose bodies these are.
    var bodies = 0
    /// Streams whose head has come and that are not closed.
    var openStreams = 0
    /// Slots of streams that were ever used.
    var slots = 0
    /// Header fields that stay with their data (`include_metadata`).
    var headBytes = 0
    /// What was read of an HTTP/1.1 connection and not understood yet.
    var unreadBytes = 0
    private var publishedBytes = 0
    private var chargedBytes = 0
    private var hasEnded = false

    /// - Parameter address: the peer's, where the memory of an address is bounded.
    init(_ shared: IncompleteMemory, _ account: ConnectionAccount, address: String? = nil) {
        self.shared = shared
        self.account = account
        self.address = address
    }

    private var unchargedBytes: Int {
        openStreams * Self.streamBytes + max(0, slots - HTTP2Session.idleSlotsMax) * Self.slotBytes
            + headBytes
            + unreadBytes + account.waitingBytes
    }

    /// Everything that is held.
    var heldBytes: Int { bodyBytes + unchargedBytes }

    /// Whether so many bytes more are too many, beside those of the request that asks.
    func objection(to more: Int, request: Int = 0) -> Answer.Failure? {
        let held = heldBytes
        if held + more > shared.connectionLimitBytes, bodies > (request > 0 ? 1 : 0) {
            return Self.failure(
                "this connection", shared.connectionLimitBytes, "connection_memory_percentage")
        }
        let unpublished = held - publishedBytes + more
        if shared.bytes + unpublished > shared.limitBytes {
            return Self.failure("all connections", shared.limitBytes, "incomplete_memory_percentage")
        }
        if let address, let limit = shared.addressLimitBytes,
            shared.bytes(from: address) + unpublished > limit
        {
            return Self.failure("the connections from this address", limit, "address_memory_percentage")
        }
        return nil
    }

    /// Whether one more stream may be opened.
    var admitsStream: Bool {
        let held = heldBytes + Self.streamBytes
        return held <= shared.connectionLimitBytes
            && shared.bytes + held - publishedBytes <= shared.limitBytes
    }

    private static func failure(_ who: String, _ limit: Int, _ key: String) -> Answer.Failure {
        Answer.Failure(
            .unavailable, 503,
            "data refused: incomplete requests of \(who) would hold more than \(limit) bytes (limits::\(key))",
            retryAfterSeconds: 1)
    }

    /// Tells what all connections hold together. Not after the end: a connection may close while it writes answers, and what it
    /// had read has not been dropped then.
    func publish() {
        guard !hasEnded else { return }
        let uncharged = unchargedBytes
        let held = bodyBytes + uncharged
        guard held != publishedBytes || uncharged != chargedBytes else { return }
        shared.add(held - publishedBytes, uncharged: uncharged - chargedBytes, from: address)
        publishedBytes = held
        chargedBytes = uncharged
    }

    /// The connection is gone, and all that it held.
    func end() {
        hasEnded = true
        bodyBytes = 0
        bodies = 0
        openStreams = 0
        slots = 0
        headBytes = 0
        unreadBytes = 0
        shared.add(-publishedBytes, uncharged: -chargedBytes, from: address)
        publishedBytes = 0
        chargedBytes = 0
    }
}
