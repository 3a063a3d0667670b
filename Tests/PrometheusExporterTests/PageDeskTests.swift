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
                ListedPage([
                    ByteBuffer(string: "\($0.format)\($0.names)"), ByteBuffer(), ByteBuffer(string: "!"),
                ])
            })
    }

    private func channel() throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    @Test func aPageIsWrittenOnceForAllWhoWait() throws {
        let desk = desk(Clock())
        let channel = try channel()
        let waiting = try (0..<10).map { _ in try desk.open(key(), for: channel) {} }
        let others = try [key("", .protobuf), key("", gzip: true)].map { try desk.open($0, for: channel) {} }
        #expect(runner.count == 3)
        runner.runAll()
        #expect(waiting.allSatisfy { $0.page === waiting[0].page && $0.all == "text[]!" })
        #expect(waiting[0].page.byteCount == 7)
        #expect(others.allSatisfy { $0.page !== waiting[0].page })
        // Who comes later gets what is new since.
        let later = try desk.open(key(), for: channel) {}
        #expect(runner.count == 1)
        runner.runAll()
        #expect(later.page !== waiting[0].page && later.all == "text[]!")
    }

    @Test func pagesAreBounded() throws {
        let clock = Clock()
        let desk = desk(clock)
        let (slow, done) = (try channel(), try channel())
        var readers: [PageReader] = []
        let keys = wholePages
        for number in 0..<PageDesk.pagesMax {
            readers.append(try desk.open(keys[number], for: slow) {})
            if number == 0 { try desk.open(keys[0], for: done) {}.leave() }
            runner.runAll()
        }
        // All are young: the newcomer is refused.
        #expect(throws: PageDeskBusy.self) { try desk.open(key("new"), for: slow) {} }
        #expect(slow.isActive)
        // The oldest has had its time.
        clock.advance(.seconds(2))
        readers.append(try desk.open(key("new"), for: done) {})
        #expect(!slow.isActive && done.isActive)
        if case .cut = readers[0].take() {} else { Issue.record("the oldest page is read on") }
        runner.runAll()
        #expect(readers.last?.all == "text[\"new\"]!")
        // A page that nobody holds counts no more; `new` still holds one.
        readers.removeFirst(PageDesk.pagesMax)
        let again = try (1..<PageDesk.pagesMax).map { try desk.open(keys[$0], for: done) {} }
        runner.runAll()
        #expect(again.allSatisfy { $0.all.hasSuffix("[]!") })
        #expect(throws: PageDeskBusy.self) { try desk.open(key("one more"), for: done) {} }
        withExtendedLifetime(readers) {}
    }

    /// Whole pages of all kinds, which no name of a family is needed for.
    private var wholePages: [PageKey] {
        ExpositionFormat.allCases.flatMap { format in
            NameEscaping.allCases.flatMap { escaping in
                [false, true].map {
                    PageKey(format: format, escaping: escaping, isGzipped: $0, names: [])
                }
            }
        }
    }

    @Test func pagesOfFamiliesLeaveRoomForWholeOnes() throws {
        let clock = Clock()
        let desk = desk(clock)
        let channel = try channel()
        var readers = try (0..<PageDesk.pagesOfFamiliesMax).map { number in
            try desk.open(key("\(number)"), for: channel) {}
        }
        #expect(throws: PageDeskBusy.self) { try desk.open(key("one more"), for: channel) {} }
        readers.append(try desk.open(key(), for: channel) {})
        clock.advance(.seconds(2))
        readers.append(try desk.open(key("one more"), for: channel) {})
        #expect(readers.count == PageDesk.pagesOfFamiliesMax + 2)
    }

    @Test func thePagesThreadWorks() async throws {
        let desk = PageDesk { _ in ListedPage([ByteBuffer(string: "x")]) }
        let (wakes, woken) = AsyncStream<Void>.makeStream()
        let reader = try desk.open(key(), for: try channel()) { woken.finish() }
        for await _ in wakes {}
        #expect(reader.all == "x")
    }
}

/// A page of known parts.
final class ListedPage: PageSource {
    private var parts: [ByteBuffer]
    private let ended: () -> Void

    init(_ parts: [ByteBuffer], ended: @escaping () -> Void = {}) {
        self.parts = parts
        self.ended = ended
    }

    func next() -> [ByteBuffer]? { parts.isEmpty ? nil : [parts.removeFirst()] }
    func end() { ended() }
}

extension PageReader {
    /// What there is up to the end, or to where nothing more has been written.
    var all: String {
        var text = ""
        while case .part(let part) = take() { text += String(buffer: part) }
        return text
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
