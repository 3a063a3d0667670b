internal import AuditLog
internal import Configuration
internal import HTTP
internal import Hashing
internal import Logging
internal import NIOCore
internal import Pipeline
import Synchronization

/// Has checkpoints timestamped by an RFC 3161 service: what it signs existed before its time, whoever has the log's key.
/// `offer` from any thread, everything else on its event loop.
final class Timestamper: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): made anywhere; the variables are used on `eventLoop` only.
    private let config: AuditConfig.Timestamp
    private let client: HTTPClient
    private let eventLoop: any EventLoop
    private let metrics: AuditMetrics
    private let logger: Logger
    private let latest = Mutex<StoredCheckpoint?>(nil)
    private let save: Save
    private var timer: RepeatedTask?
    /// The sizes of the checkpoints that were timestamped and asked for last.
    private var stamped: UInt64?
    private var asked: UInt64?
    private var isAsking = false
    private var isClosed = false
    /// Waits for the last checkpoint's timestamp.
    private var ending: (promise: EventLoopPromise<Void>, deadline: NIODeadline)?

    /// Writes a checkpoint and the answer that timestamps it, elsewhere than on the event loop; then says what went wrong.
    typealias Save =
        @Sendable (
            _ checkpoint: StoredCheckpoint, _ answer: [UInt8],
            _ done: @escaping @Sendable (_ problem: String?) -> Void
        ) -> Void

    private static let timeout = TimeAmount.seconds(30)

    init(
        _ config: AuditConfig.Timestamp, _ context: ComponentContext, metrics: AuditMetrics,
        save: @escaping Save
    ) throws {
        self.config = config
        self.metrics = metrics
        self.save = save
        eventLoop = context.eventLoop
        logger = context.logger
        var options = HTTPClient.Options()
        if config.url.origin.scheme == .https {
            options.tls = try ClientTLS(
                ClientTLSConfig(), protocols: HTTPClient.Options.protocols(http2: false), logger: logger)
        }
        client = HTTPClient(
            origin: config.url.origin, options: options, eventLoop: context.eventLoop, logger: logger)
    }

    /// A new checkpoint. The first is timestamped at once, later ones when the interval is over.
    func offer(_ checkpoint: StoredCheckpoint) {
        latest.withLock { $0 = checkpoint }
        eventLoop.execute { [self] in
            guard timer == nil, !isClosed else { return }
            let period = TimeAmount(config.interval)
            timer = eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { [self] _ in ask() }
            ask()
        }
    }

    /// Has the last checkpoint timestamped, if it is not yet, and ends the connection. After the last `offer`; on the event loop.
    /// - Parameter deadline: when it is not waited for any more.
    func close(by deadline: NIODeadline) -> EventLoopFuture<Void> {
        isClosed = true
        timer?.cancel()
        let promise = eventLoop.makePromise(of: Void.self)
        ending = (promise, deadline)
        let timeout = eventLoop.scheduleTask(deadline: deadline) { [self] in
            if stamped != latest.withLock({ $0?.size }) { fail("the stop does not wait any longer") }
            end()
        }
        if !isAsking { ask() }
        return promise.futureResult.always { [client] _ in
            timeout.cancel()
            // A connection that does not close ends with the process.
            _ = client.close()
        }
    }

    private func end() {
        ending?.promise.succeed()
        ending = nil
    }

    /// After an answer. While it ends, a checkpoint that came meanwhile is asked for, and none twice.
    private func goOn() {
        guard ending != nil else { return }
        if latest.withLock({ $0?.size }) == asked { end() } else { ask() }
    }

    private func ask() {
        guard !isAsking, let checkpoint = latest.withLock({ $0 }), checkpoint.size != stamped else {
            return end()
        }
        isAsking = true
        asked = checkpoint.size
        let query = TimestampQuery(Hash256(of: Array(checkpoint.note.utf8)))
        var fields = [(name: "content-type", value: "application/timestamp-query")]
        if let authorization = config.url.basicAuthorization {
            fields.append(("authorization", authorization))
        }
        let request = HTTPClientRequest(
            method: "POST", target: config.url.target, headers: fields, body: [ByteBuffer(bytes: query.bytes)]
        )
        let deadline = min(.now() + Self.timeout, ending?.deadline ?? .distantFuture)
        client.send(request, deadline: deadline).whenComplete { [self] result in
            isAsking = false
            switch result {
            case .success(let answer):
                let bytes = Array(answer.body.readableBytesView)
                guard answer.status == 200 else { return fail("the service answered \(answer.status)") }
                if let problem = query.problem(of: bytes) { return fail(problem) }
                isAsking = true
                save(checkpoint, bytes) { [self] problem in
                    eventLoop.execute { [self] in
                        isAsking = false
                        if let problem { return fail(problem) }
                        stamped = checkpoint.size
                        metrics.timestamps.add(1)
                        goOn()
                    }
                }
            case .failure(let error): fail("\(error)")
            }
        }
    }

    /// The next one is asked for when the interval is over.
    private func fail(_ problem: String) {
        metrics.failedTimestamps.add(1)
        logger.error("An audit checkpoint was not timestamped.", metadata: ["error": "\(problem)"])
        goOn()
    }
}

/// A `TimeStampReq` of RFC 3161 in DER, for SHA-256, with a nonce, which asks for the certificate.
struct TimestampQuery {
    let bytes: [UInt8]
    private let digest: [UInt8]
    /// A positive number of 8 bytes.
    private let nonce: [UInt8]

    init(_ hash: Hash256, nonce: UInt64 = .random(in: 1 << 62..<1 << 63)) {
        digest = hash.bytes
        self.nonce = stride(from: 56, through: 0, by: -8).map { UInt8(nonce >> UInt64($0) & 255) }
        let sha256: [UInt8] = [
            0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
        ]
        let imprint = Self.item(0x30, sha256 + Self.item(0x04, digest))
        bytes = Self.item(0x30, [2, 1, 1] + imprint + Self.item(0x02, self.nonce) + [1, 1, 0xff])
    }

    private static func item(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        [tag, UInt8(content.count)] + content
    }

    /// Why an answer is none to this query; nil when it grants it. The service's signature is for whoever checks the file later.
    func problem(of answer: [UInt8]) -> String? {
        // TimeStampResp ::= SEQUENCE { status SEQUENCE { status INTEGER, … }, timeStampToken … }
        guard let whole = Self.content(of: answer[...], tag: 0x30),
            let info = Self.content(of: whole, tag: 0x30), let status = Self.content(of: info, tag: 0x02)
        else { return "the service's answer is no timestamp response" }
        guard status.elementsEqual([0]) || status.elementsEqual([1]) else {
            return "the service refused with status \(status.map { "\($0)" }.joined(separator: " "))"
        }
        guard Self.contains(answer, digest), Self.contains(answer, nonce) else {
            return "the service's answer is about something else"
        }
        return nil
    }

    /// What is in the first item, if it has the tag.
    private static func content(of bytes: ArraySlice<UInt8>, tag: UInt8) -> ArraySlice<UInt8>? {
        guard bytes.count >= 2, bytes.first == tag, let first = bytes.dropFirst().first else { return nil }
        var rest = bytes.dropFirst(2)
        var count = Int(first)
        if first >= 0x80 {
            let digits = Int(first & 0x7f)
            guard 1...4 ~= digits, rest.count >= digits else { return nil }
            count = rest.prefix(digits).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(digits)
        }
        return rest.count >= count ? rest.prefix(count) : nil
    }

    private static func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        guard bytes.count >= part.count else { return false }
        return (0...bytes.count - part.count).contains { bytes[$0...].starts(with: part) }
    }
}
