import NIOCore
import Pipeline
import Synchronization

/// All that a page depends on beside the series.
struct PageKey: Sendable, Hashable {
    /// What it is written in.
    let format: ExpositionFormat
    /// How names are written that old scrapers do not know.
    let escaping: NameEscaping
    /// Whether it is one gzip member.
    let isGzipped: Bool
    /// The families on it, sorted; empty for all.
    let names: [String]
}

/// A page, written part by part. Used by one thread at a time.
protocol PageSource: AnyObject {
    /// The next parts, after some time's work, or none yet; nil at the end of the page.
    func next() -> [ByteBuffer]?
    /// The page is complete or nobody wants it any more. Called once, last.
    func end()
}

/// A page that is written while it is sent: once, for all who came before its beginning was gone.
///
/// Holds at most `heldBytesMax` and what the source gives at once. While it holds less, it keeps all, and who asks for
/// the same page joins. Then parts go that everybody has, and writing rests while somebody has not read the oldest. Who
/// keeps others waiting like this for `graceTime` is cut off. Any thread.
final class PageStream: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `source` is used by `work` only, of which one runs at a time, each after the last;
    // everything else is Sendable.

    /// What a page may hold, and what it must have sent of that before writing goes on.
    static let heldBytesMax = 16 << 20
    /// Parts that must be there before a reader that has read all is woken, unless the page ends.
    private static let partsToWake = 4
    /// What is written before another page has its turn.
    private static let turnBytes = 8 << 20
    /// How long a reader may keep others waiting.
    static let graceTime = TimeAmount.seconds(1)

    /// Does some work elsewhere, soon.
    typealias Run = @Sendable (@escaping @Sendable () -> Void) -> Void

    /// What a reader gets.
    enum Taken {
        case part(ByteBuffer)
        /// Nothing yet; the reader will be woken.
        case nothingYet
        case end
        /// The reader was cut off; its channel is being closed.
        case cut
    }

    private struct Reader {
        let channel: any Channel
        let wake: @Sendable () -> Void
        /// The number of the part that is next.
        var next = 0
        /// When it last took something.
        var moved: NIODeadline
        /// Whether it is to be woken.
        var isWaiting = true
    }

    private struct Part {
        let bytes: ByteBuffer
        /// How many readers have read all before it and not it.
        var readers: Int
    }

    private struct State {
        /// Parts that are held, and the number of the first.
        var parts = CircularBuffer<Part>()
        var first = 0
        /// How many readers have read all that is there.
        var readersAtEnd = 0
        var heldBytes = 0
        let heldBytesMax: Int
        /// What the ledger has of `heldBytes`.
        var chargedBytes = 0
        var totalBytes = 0
        var isComplete = false
        /// Whether `work` runs or will.
        var isWorking = true
        /// Counts how often writing rested.
        var rests = 0
        var readers: [Int: Reader] = [:]
        var lastReader = 0

        /// Lets parts go that everybody has, once the beginning need not be kept.
        mutating func letGo() {
            guard first > 0 || isComplete || heldBytes >= heldBytesMax else { return }
            while let part = parts.first, part.readers == 0 {
                heldBytes -= part.bytes.readableBytes
                parts.removeFirst()
                first += 1
            }
        }

        mutating func append(_ part: ByteBuffer) {
            parts.append(Part(bytes: part, readers: readersAtEnd))
            readersAtEnd = 0
            heldBytes += part.readableBytes
            totalBytes += part.readableBytes
        }

        mutating func add(_ reader: Reader) {
            lastReader += 1
            readers[lastReader] = reader
            move(1, to: reader.next)
        }

        mutating func remove(_ id: Int) {
            if let reader = readers.removeValue(forKey: id) { move(-1, to: reader.next) }
        }

        /// One reader more, or one fewer, whose next part has this number.
        mutating func move(_ count: Int, to number: Int) {
            if number - first < parts.count {
                parts[offset: number - first].readers += count
            } else {
                readersAtEnd += count
            }
        }

        /// Whether who asks for the page may still have it from its beginning.
        var canBeJoined: Bool { first == 0 && !isComplete && (!readers.isEmpty || lastReader == 0) }

        /// Whether writing is to go on; it counts as begun.
        mutating func resumes() -> Bool {
            guard !isWorking, !isComplete, heldBytes <= heldBytesMax / 2 || readers.isEmpty else {
                return false
            }
            isWorking = true
            return true
        }

        /// Readers to be woken, who then are no longer waiting.
        mutating func awake(all: Bool) -> [@Sendable () -> Void] {
            var woken: [@Sendable () -> Void] = []
            for (id, reader) in readers where reader.isWaiting {
                let unread = first + parts.count - reader.next
                guard isComplete || unread >= (all ? 1 : PageStream.partsToWake) else { continue }
                readers[id]?.isWaiting = false
                woken.append(reader.wake)
            }
            return woken
        }
    }

    let key: PageKey
    private let run: Run
    private let make: @Sendable () -> any PageSource
    private var source: (any PageSource)?
    private let state: Mutex<State>
    private let ledger: MemoryLedger

    /// A page that nobody reads and nobody writes yet.
    ///
    /// - Parameters:
    ///   - ledger: is charged for what is held.
    ///   - heldBytesMax: what it may hold.
    ///   - run: where it is written.
    ///   - make: begins it; called there.
    init(
        _ key: PageKey, ledger: MemoryLedger = MemoryLedger(), heldBytesMax: Int = PageStream.heldBytesMax,
        run: @escaping Run, make: @escaping @Sendable () -> any PageSource
    ) {
        self.ledger = ledger
        state = Mutex(State(heldBytesMax: heldBytesMax))
        self.key = key
        self.run = run
        self.make = make
    }

    deinit { ledger.release(state.withLock { $0.chargedBytes }) }

    /// Has the ledger hold what the page holds.
    private func charge(_ state: inout State) {
        ledger.charge(state.heldBytes - state.chargedBytes)
        state.chargedBytes = state.heldBytes
    }

    /// Begins to write. Once, after the first reader has joined.
    func start() { run { self.work() } }

    // MARK: - Readers

    /// A new reader, from the beginning of the page; nil when that is gone, or all is written.
    ///
    /// - Parameters:
    ///   - channel: closed when the reader is cut off.
    ///   - wake: called on any thread when there is something to take, once after joining and after each `nothingYet`.
    func join(_ channel: any Channel, wake: @escaping @Sendable () -> Void) -> PageReader? {
        let joined: (id: Int, wakes: [@Sendable () -> Void])? = state.withLock { state in
            guard state.canBeJoined else { return nil }
            state.add(Reader(channel: channel, wake: wake, moved: channel.eventLoop.now))
            return (state.lastReader, state.awake(all: false))
        }
        guard let joined else { return nil }
        for wake in joined.wakes { wake() }
        return PageReader(page: self, id: joined.id)
    }

    /// The size of the page when all of it is written.
    var byteCount: Int? { state.withLock { $0.isComplete ? $0.totalBytes : nil } }

    fileprivate func take(_ id: Int) -> Taken {
        let (taken, resumes) = state.withLock { state -> (Taken, Bool) in
            guard let reader = state.readers[id] else { return (.cut, false) }
            let place = reader.next - state.first
            guard place < state.parts.count else {
                if state.isComplete { return (.end, false) }
                state.readers[id]?.isWaiting = true
                return (.nothingYet, false)
            }
            let part = state.parts[offset: place].bytes
            state.readers[id]?.next += 1
            state.readers[id]?.moved = reader.channel.eventLoop.now
            state.parts[offset: place].readers -= 1
            state.move(1, to: reader.next + 1)
            state.letGo()
            charge(&state)
            return (.part(part), state.resumes())
        }
        if resumes { run { self.work() } }
        return taken
    }

    fileprivate func leave(_ id: Int) {
        let resumes = state.withLock { state in
            state.remove(id)
            state.letGo()
            charge(&state)
            return state.resumes()
        }
        if resumes { run { self.work() } }
    }

    /// Cuts off all who still read.
    func cut() { cut { _, _ in true } }

    private func cut(_ which: (State, Reader) -> Bool) {
        let (channels, resumes) = state.withLock { state in
            let cut = state.readers.filter { which(state, $0.value) }
            for id in cut.keys { state.remove(id) }
            state.letGo()
            charge(&state)
            return (cut.values.map(\.channel), state.resumes())
        }
        if resumes { run { self.work() } }
        for channel in channels { channel.close(promise: nil) }
    }

    // MARK: - Writing

    /// Writes until enough is held, or it is another page's turn.
    private func work() {
        let source = source ?? make()
        self.source = source
        var left = Self.turnBytes
        while true {
            let parts = state.withLock { $0.readers.isEmpty } ? nil : source.next()
            let written = parts?.reduce(0) { $0 + $1.readableBytes } ?? 0
            left -= written
            let (rests, wakes) = state.withLock { state -> (Int?, [@Sendable () -> Void]) in
                state.isComplete = parts == nil
                for part in parts ?? [] where part.readableBytes > 0 { state.append(part) }
                state.letGo()
                charge(&state)
                guard !state.isComplete, state.heldBytes >= state.heldBytesMax else {
                    return (nil, state.awake(all: false))
                }
                state.isWorking = false
                state.rests += 1
                return (state.rests, state.awake(all: true))
            }
            for wake in wakes { wake() }
            if parts == nil {
                self.source = nil
                return source.end()
            }
            if let rests { return watch(rests) }
            if left <= 0 { return run { self.work() } }
        }
    }

    /// Sees to it that writing does not rest for long for the sake of a reader that does not read, while others wait.
    private func watch(_ rests: Int) {
        let loop = state.withLock { $0.isWorking ? nil : $0.readers.values.first?.channel.eventLoop }
        loop?.scheduleTask(in: Self.graceTime) { [weak self] in
            guard let self, state.withLock({ !$0.isWorking && !$0.isComplete && $0.rests == rests }) else {
                return
            }
            cut { state, reader in
                reader.next == state.first && reader.channel.eventLoop.now - reader.moved >= Self.graceTime
                    && state.readers.values.contains { $0.isWaiting }
            }
            watch(rests)
        }
    }
}

/// One of those who read a page. Ends with `leave`, whatever it has taken.
struct PageReader: Sendable {
    let page: PageStream
    fileprivate let id: Int

    /// The next part. Any thread; one at a time.
    func take() -> PageStream.Taken { page.take(id) }

    /// Reads no more. Once.
    func leave() { page.leave(id) }
}
