import Glibc
package import Logging
package import NIOCore
import OTLP
package import Pipeline

/// A logger that says nothing.
package func makeSilentLogger() -> Logger {
    Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// A batch of one payload whose bytes no test looks into.
package func makeBatch(
    items: Int, bytes: Int = 10, acknowledgement: Acknowledgement? = nil, ledger: MemoryLedger? = nil
) -> Batch {
    let payload = Payload(ByteBuffer(repeating: 0x2A, count: bytes), ledger: ledger)
    return Batch(.traces, payload: payload, items: items, acknowledgement: acknowledgement)
}

/// A value that closures write and the test reads. Any thread.
///
/// Locks as the thread sanitizer understands; it does not see through `Mutex`.
package final class Noted<Value: Sendable>: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `current` is touched under the lock only.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var current: Value

    package init(_ value: Value) {
        current = value
        let code = pthread_mutex_init(lock, nil)
        precondition(code == 0, "a mutex can always be made")
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    package var value: Value {
        get {
            pthread_mutex_lock(lock)
            defer { pthread_mutex_unlock(lock) }
            return current
        }
        set { change { $0 = newValue } }
    }

    @discardableResult
    package func change<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body(&current)
    }
}

/// What clients were answered.
package final class Answers: Sendable {
    private let log = Noted<[Outcome]>([])

    package init() {}

    /// All answers, in order.
    package var all: [Outcome] { log.value }

    /// An acknowledgement, of a request in so many parts, whose answer is written down here.
    package func acknowledgement(shares: Int = 1) -> Acknowledgement {
        Acknowledgement(shares: shares) { [log] outcome in log.change { $0.append(outcome) } }
    }
}

/// A consumer that takes what the test lets it take. Any thread.
package final class FakeConsumer: Consumer {
    private struct State: Sendable {
        var refusal: Refusal?
        var takesMost = 0
        var outcome: Outcome?
        var taken: [Batch] = []
        var dropped: [Batch] = []
        var asked = 0
    }

    private let state = Noted(State())

    package init(refusing refusal: Refusal? = nil) { self.refusal = refusal }

    /// What it says to everything from now on; nil: it takes it.
    package var refusal: Refusal? {
        get { state.value.refusal }
        set { state.change { $0.refusal = newValue } }
    }

    /// How many it takes before it refuses what it is to refuse.
    package var takesMost: Int {
        get { state.value.takesMost }
        set { state.change { $0.takesMost = newValue } }
    }

    /// How it settles everything at once; nil: not at all.
    package var outcome: Outcome? {
        get { state.value.outcome }
        set { state.change { $0.outcome = newValue } }
    }

    package var taken: [Batch] { state.value.taken }
    package var dropped: [Batch] { state.value.dropped }
    package var asked: Int { state.value.asked }
    package var takenItems: [Int] { taken.map(\.items) }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        let refusal = state.change { state in
            state.asked += 1
            if state.refusal != nil, state.taken.count >= state.takesMost { return state.refusal }
            batch.enter()
            state.taken.append(batch)
            return nil
        }
        if let refusal { return refusal }
        if let outcome { batch.settle(outcome) }
        return nil
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        state.change { $0.dropped.append(batch) }
        batch.settle(.refused(refusal))
    }
}

/// A destination that answers when the test says so. Event loop only.
package final class FakeSender: BatchSender {
    /// An attempt under way.
    package struct Call {
        package let batch: Batch
        package let deadline: NIODeadline
        package let done: (SendResult) -> Void
    }

    private let eventLoop: any EventLoop
    /// Attempts without an answer, oldest first.
    package var calls: [Call] = []
    /// Attempts ever made.
    package private(set) var attempts = 0
    package private(set) var isClosed = false

    package init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    package func send(_ batch: Batch, deadline: NIODeadline, done: @escaping (SendResult) -> Void) {
        precondition(!isClosed, "asked to send after it was closed")
        attempts += 1
        calls.append(Call(batch: batch, deadline: deadline, done: done))
    }

    package func close() -> EventLoopFuture<Void> {
        isClosed = true
        return eventLoop.makeSucceededVoidFuture()
    }

    /// Answers the oldest attempt, or another one.
    package func answer(_ result: SendResult, at index: Int = 0) {
        calls.remove(at: index).done(result)
    }
}

extension SendResult {
    /// The destination has everything.
    package static var success: SendResult { .sent(rejectedItems: 0, message: "") }
    /// The destination is not there.
    package static var down: SendResult { .retryable("connection refused", after: nil) }
}
