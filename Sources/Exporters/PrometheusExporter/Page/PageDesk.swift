import NIOCore
import NIOPosix
import Synchronization

/// There is no page at the moment: as many as there may be are being written and sent, all of them young.
struct PageDeskBusy: Error {}

/// Has pages written on a thread of their own, each once for all who ask for it while its beginning is there.
///
/// Bounds what scrapers can make the gateway hold: `pagesMax` pages at a time, each at most what a `PageStream` holds.
/// When there are so many, whoever still reads the oldest is cut off, if it had `graceTime` to read; else the newcomer is
/// refused. Any thread.
final class PageDesk: Sendable {
    /// Begins a page. Called on the pages' thread, as the page is used there.
    typealias Render = @Sendable (PageKey) -> any PageSource

    /// Pages that are being written or sent at a time.
    static let pagesMax = 16
    /// Of these, pages of some families only: whoever asks for every combination of names leaves room for whole pages.
    static let pagesOfFamiliesMax = 8
    /// How long a page may be read in any case.
    static let graceTime = TimeAmount.seconds(1)

    /// The pages' thread, one for all exporters, so that scrapes never take more than one core. Never shut down: it
    /// lives as long as the process, and starts with the first page.
    static let onThread: PageStream.Run = {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        return { work in pool.submit { _ in work() } }
    }()

    private struct Held {
        /// Held by those who read and write it.
        weak var page: PageStream?
        let since: NIODeadline
    }

    private let run: PageStream.Run
    private let now: @Sendable () -> NIODeadline
    private let render: Render
    /// Those of some names that are of families. Any thread.
    let known: @Sendable ([String]) -> [String]
    /// Oldest first.
    private let held = Mutex<[Held]>([])

    /// A desk.
    ///
    /// - Parameters:
    ///   - run: where pages are written.
    ///   - now: the time.
    ///   - known: gives those of some names that are of families; called on event loops.
    init(
        run: @escaping PageStream.Run = PageDesk.onThread,
        now: @escaping @Sendable () -> NIODeadline = { .now() },
        known: @escaping @Sendable ([String]) -> [String] = { $0 }, render: @escaping Render
    ) {
        self.run = run
        self.now = now
        self.known = known
        self.render = render
    }

    /// Joins the readers of a page that is being written, or has one written.
    ///
    /// - Parameters:
    ///   - channel: closed when the reader is cut off.
    ///   - wake: see `PageStream.join`.
    /// - Throws: when there are too many pages.
    func open(
        _ key: PageKey, for channel: any Channel, wake: @escaping @Sendable () -> Void
    ) throws(PageDeskBusy) -> PageReader {
        let time = now()
        var tooOld: PageStream?
        var isNew = false
        let reader: PageReader? = held.withLock { held in
            held.removeAll { $0.page == nil }
            for one in held where one.page?.key == key {
                if let reader = one.page?.join(channel, wake: wake) { return reader }
            }
            if let oldest = Self.place(for: key, in: held) {
                guard time - held[oldest].since > Self.graceTime else { return nil }
                tooOld = held.remove(at: oldest).page
            }
            isNew = true
            let page = PageStream(key, run: run) { [render] in render(key) }
            held.append(Held(page: page, since: time))
            return page.join(channel, wake: wake)
        }
        tooOld?.cut()
        guard let reader else { throw PageDeskBusy() }
        if isNew { reader.page.start() }
        return reader
    }

    /// The page that must go for a new one; nil when there is room.
    private static func place(for key: PageKey, in held: [Held]) -> Int? {
        let ofFamilies = held.indices.filter { held[$0].page?.key.names.isEmpty == false }
        if !key.names.isEmpty, ofFamilies.count >= pagesOfFamiliesMax { return ofFamilies.first }
        return held.count >= pagesMax ? held.startIndex : nil
    }
}
