import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import PrometheusExporter

/// If these failed, ten scrapers would cost ten times the work, or pages that nobody reads would take the memory.
@Suite struct PageDeskTests {
    private let runner = Runner()

    private func key(_ name: String = "", _ format: ExpositionFormat = .text, gzip: Bool = false) -> PageKey {
        PageKey(format: format, escaping: .underscores, isGzipped: gzip, names: name.isEmpty ? [] : [name])
    }

    private func desk(_ time: Clock) -> PageDesk {
        let runner = runner
        return PageDesk(
            run: { runner.add($0) }, now: { time.now },
            render: {
                [ByteBuffer(string: "\($0.format)\($0.names)"), ByteBuffer(), ByteBuffer(string: "!")]
            })
    }

    @Test func aPageIsWrittenOnceForAllWhoWait() throws {
        let loop = EmbeddedEventLoop()
        let desk = desk(Clock())
        let waiting = (0..<10).map { _ in desk.page(key(), on: loop) }
        let others = [desk.page(key("", .protobuf), on: loop), desk.page(key("", gzip: true), on: loop)]
        #expect(runner.count == 3)
        runner.runAll()
        let pages = try waiting.map { try $0.wait() }
        #expect(pages.allSatisfy { $0 === pages[0] })
        #expect(pages[0].byteCount == 7 && pages[0].chunks.count == 2)
        #expect(try others[0].wait() !== pages[0] && others[1].wait() !== pages[0])
        // Who comes later gets what is new since.
        let later = desk.page(key(), on: loop)
        #expect(runner.count == 1)
        runner.runAll()
        #expect(try later.wait() !== pages[0])
    }

    @Test func aPageThatIsTooLargeIsRefusedToAllWhoWait() throws {
        let loop = EmbeddedEventLoop()
        let runner = runner
        let desk = PageDesk(run: { runner.add($0) }, render: { _ in nil })
        let waiting = [desk.page(key(), on: loop), desk.page(key(), on: loop)]
        runner.runAll()
        for page in waiting { #expect(throws: PageDeskError.tooLarge) { try page.wait() } }
        // The next one tries again, and such pages are not held.
        for _ in 0..<(2 * PageDesk.pagesMax) {
            let next = desk.page(key(), on: loop)
            runner.runAll()
            #expect(throws: PageDeskError.tooLarge) { try next.wait() }
        }
    }

    @Test func pagesAreBounded() throws {
        let loop = EmbeddedEventLoop()
        let clock = Clock()
        let desk = desk(clock)
        var pages: [Page] = []
        for number in 0..<PageDesk.pagesMax {
            let page = desk.page(key("\(number)"), on: loop)
            runner.runAll()
            pages.append(try page.wait())
        }
        let slow = EmbeddedChannel(loop: loop)
        try slow.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let done = EmbeddedChannel(loop: loop)
        try done.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        pages[0].begin(on: slow)
        pages[0].begin(on: done)
        pages[0].end(on: done)
        // All are young: the newcomer is refused, unless somebody waits for the same page.
        #expect(throws: PageDeskError.busy) { try desk.page(key("new"), on: loop).wait() }
        #expect(slow.isActive)
        // The oldest has had its time.
        clock.advance(.seconds(2))
        let new = desk.page(key("new"), on: loop)
        #expect(!slow.isActive && done.isActive)
        runner.runAll()
        pages.append(try new.wait())
        // A page that nobody holds counts no more; `new` still holds one.
        pages.removeAll()
        let again = (1..<PageDesk.pagesMax).map { desk.page(key("again \($0)"), on: loop) }
        runner.runAll()
        for page in again { _ = try page.wait() }
        _ = try? done.finish(acceptAlreadyClosed: true)
        _ = try? slow.finish(acceptAlreadyClosed: true)
    }

    @Test func thePagesThreadWorks() async throws {
        let desk = PageDesk { _ in [ByteBuffer(string: "x")] }
        let page = try await desk.page(key(), on: MultiThreadedEventLoopGroup.singleton.next()).get()
        #expect(page.byteCount == 1)
    }
}

/// A time that a test sets.
private final class Clock: Sendable {
    private let time = Mutex(NIODeadline.uptimeNanoseconds(1))

    var now: NIODeadline { time.withLock { $0 } }

    func advance(_ amount: TimeAmount) {
        time.withLock { $0 = $0 + amount }
    }
}

/// Work that waits until the test has it done, on the test's own thread.
final class Runner: Sendable {
    private let work = Mutex<[@Sendable () -> Void]>([])

    var count: Int { work.withLock { $0.count } }

    func add(_ piece: @escaping @Sendable () -> Void) {
        work.withLock { $0.append(piece) }
    }

    func runAll() {
        let pieces = work.withLock { work in
            defer { work = [] }
            return work
        }
        for piece in pieces { piece() }
    }
}
