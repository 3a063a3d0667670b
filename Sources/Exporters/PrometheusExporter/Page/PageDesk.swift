internal import NIOCore
internal import NIOPosix
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

/// A page, written to its end; shared by all connections that send it, whose loops only read.
final class Page: Sendable {
    /// The bytes, in order; no chunk is empty.
    let chunks: [ByteBuffer]
    /// Bytes of all chunks.
    let byteCount: Int
    private let readers = Mutex<[ObjectIdentifier: any Channel]>([:])

    /// A page of these chunks; empty ones are left out.
    init(_ chunks: [ByteBuffer]) {
        self.chunks = chunks.filter { $0.readableBytes > 0 }
        byteCount = chunks.reduce(0) { $0 + $1.readableBytes }
    }

    /// Notes that a connection begins to send the page. Any thread.
    func begin(on channel: any Channel) {
        readers.withLock { $0[ObjectIdentifier(channel)] = channel }
    }

    /// Notes that a connection needs the page no more. Any thread.
    func end(on channel: any Channel) {
        _ = readers.withLock { $0.removeValue(forKey: ObjectIdentifier(channel)) }
    }

    /// Closes all connections that still send it.
    func cut() {
        for channel in readers.withLock({ Array($0.values) }) { channel.close(promise: nil) }
    }
}

/// Why there is no page at the moment.
enum PageDeskError: Error {
    /// As many pages as there may be are being written and sent, all of them young.
    case busy
    /// The page would be larger than any may be.
    case tooLarge
}

/// Has pages written on a thread of their own, each once for all who ask for it while it is being written.
///
/// Bounds what scrapers can make the gateway hold: `pagesMax` pages at a time, being written or sent. When there are so
/// many, whoever still reads the oldest is cut off, if it had `graceTime` to read; else the newcomer is refused. Any
/// thread.
final class PageDesk: Sendable {
    /// Writes a page; nil when it would be too large. Runs on the pages' thread and may take long.
    typealias Render = @Sendable (PageKey) -> [ByteBuffer]?

    /// Pages that are being written or sent at a time.
    static let pagesMax = 16
    /// How long a page may be read in any case.
    static let graceTime = TimeAmount.seconds(1)

    /// Does some work elsewhere, soon.
    typealias Run = @Sendable (@escaping @Sendable () -> Void) -> Void

    /// The pages' thread, one for all exporters, so that scrapes never take more than one core. Never shut down: it
    /// lives as long as the process, and starts with the first page.
    static let onThread: Run = {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        return { work in pool.submit { _ in work() } }
    }()

    private struct Held {
        weak var page: Page?
        let since: NIODeadline
    }

    private struct State {
        /// Who waits for the pages that are being written.
        var waiting: [PageKey: [EventLoopPromise<Page>]] = [:]
        /// Those that were written and may still be read, oldest first.
        var held: [Held] = []
    }

    private let run: Run
    private let now: @Sendable () -> NIODeadline
    private let render: Render
    private let state = Mutex(State())

    /// A desk.
    ///
    /// - Parameters:
    ///   - run: where pages are written.
    ///   - now: the time.
    init(
        run: @escaping Run = PageDesk.onThread, now: @escaping @Sendable () -> NIODeadline = { .now() },
        render: @escaping Render
    ) {
        self.run = run
        self.now = now
        self.render = render
    }

    /// The page, when it is written; fails with `PageDeskError` when there are too many, or it is too large.
    func page(_ key: PageKey, on eventLoop: any EventLoop) -> EventLoopFuture<Page> {
        let promise = eventLoop.makePromise(of: Page.self)
        let time = now()
        var tooOld: Page?
        let isFirst: Bool? = state.withLock { state in
            if state.waiting[key] != nil {
                state.waiting[key]!.append(promise)
                return false
            }
            state.held.removeAll { $0.page == nil }
            if state.held.count + state.waiting.count >= Self.pagesMax {
                guard let oldest = state.held.first, time - oldest.since > Self.graceTime else { return nil }
                tooOld = oldest.page
                state.held.removeFirst()
            }
            state.waiting[key] = [promise]
            return true
        }
        tooOld?.cut()
        switch isFirst {
        case nil: promise.fail(PageDeskError.busy)
        case false?: break
        case true?: write(key)
        }
        return promise.futureResult
    }

    private func write(_ key: PageKey) {
        run { [self] in
            let page = render(key).map { Page($0) }
            for promise in finish(key, page) {
                if let page { promise.succeed(page) } else { promise.fail(PageDeskError.tooLarge) }
            }
        }
    }

    /// Notes the end of writing; returns who waited for it.
    private func finish(_ key: PageKey, _ page: Page?) -> [EventLoopPromise<Page>] {
        let time = now()
        return state.withLock { state in
            if let page { state.held.append(Held(page: page, since: time)) }
            return state.waiting.removeValue(forKey: key) ?? []
        }
    }
}
