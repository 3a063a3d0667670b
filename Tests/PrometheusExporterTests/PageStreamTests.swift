import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import PrometheusExporter

/// If these failed, a page would cost memory as it is large, ten scrapers would cost ten times the work, or one that does
/// not read would keep others from reading.
@Suite struct PageStreamTests {
    private final class Parts {
        static let partBytes = 1 << 20
        let runner = Runner()
        let loop = EmbeddedEventLoop()
        let page: PageStream
        let ends = Noted(0)

        /// A page of so many parts of a MiB; the first byte of each is its number.
        init(parts: Int) {
            let key = PageKey(format: .text, escaping: .underscores, isGzipped: false, names: [])
            let (runner, ends) = (runner, ends)
            let make: @Sendable () -> any PageSource = {
                let list = (0..<parts).map { number in
                    var part = ByteBuffer(repeating: 0, count: Parts.partBytes)
                    part.setInteger(UInt8(number), at: 0)
                    return part
                }
                return ListedPage(list) { ends.value += 1 }
            }
            page = PageStream(key, run: { runner.add($0) }, make: make)
        }

        func channel() throws -> EmbeddedChannel {
            let channel = EmbeddedChannel(loop: loop)
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            return channel
        }

        /// Lets the page be written as far as it goes.
        func write() {
            while runner.count > 0 { runner.runAll() }
        }
    }

    /// The numbers of parts that are there now, at most so many.
    private func take(_ reader: PageReader, _ countMax: Int = .max) -> [Int] {
        var numbers: [Int] = []
        while numbers.count < countMax, case .part(let part) = reader.take() {
            numbers.append(Int(part.getInteger(at: 0, as: UInt8.self)!))
        }
        return numbers
    }

    private func isAtEnd(_ reader: PageReader) -> Bool {
        if case .end = reader.take() { true } else { false }
    }

    @Test func aLargePageIsWrittenAsItIsRead() throws {
        let parts = Parts(parts: 100)
        let woken = Noted(0)
        let reader = try #require(parts.page.join(parts.channel()) { woken.value += 1 })
        parts.page.start()
        parts.write()
        #expect(woken.value == 1)
        let heldMax = PageStream.heldBytesMax / Parts.partBytes
        var numbers = take(reader)
        #expect(numbers == Array(0..<heldMax))
        while !isAtEnd(reader) {
            #expect(numbers.count <= 100 && parts.runner.count == 1)
            parts.write()
            let more = take(reader)
            #expect(more.count <= heldMax)
            numbers += more
        }
        #expect(numbers == Array(0..<100) && parts.page.byteCount == 100 * Parts.partBytes)
        #expect(parts.ends.value == 1)
        reader.leave()
    }

    @Test func whoComesInTimeJoins() throws {
        let parts = Parts(parts: 40)
        let first = try #require(parts.page.join(parts.channel()) {})
        parts.page.start()
        parts.write()
        #expect(take(first, 3) == [0, 1, 2])
        // Three parts are gone by now.
        #expect(parts.page.join(try parts.channel()) {} == nil)

        let other = Parts(parts: 10)
        let readers = try (0..<10).map { _ in try #require(other.page.join(try other.channel()) {}) }
        other.page.start()
        other.write()
        for reader in readers { #expect(take(reader) == Array(0..<10) && isAtEnd(reader)) }
        // What is complete is old.
        #expect(other.page.join(try other.channel()) {} == nil)
        #expect(other.ends.value == 1)
    }

    @Test func whoKeepsOthersWaitingIsCutOff() throws {
        let parts = Parts(parts: 60)
        let (slowChannel, fastChannel) = (try parts.channel(), try parts.channel())
        let slow = try #require(parts.page.join(slowChannel) {})
        let fast = try #require(parts.page.join(fastChannel) {})
        parts.page.start()
        parts.write()
        #expect(take(slow, 1) == [0])
        var numbers = take(fast)
        // The slow one may still read on: the page waits for it.
        parts.loop.advanceTime(by: .milliseconds(999))
        #expect(parts.runner.count == 0 && slowChannel.isActive)
        parts.loop.advanceTime(by: .milliseconds(1))
        #expect(!slowChannel.isActive && fastChannel.isActive && parts.runner.count == 1)
        if case .cut = slow.take() {} else { Issue.record("reads on") }
        while !isAtEnd(fast) {
            #expect(numbers.count <= 60)
            parts.write()
            numbers += take(fast)
        }
        #expect(numbers == Array(0..<60))
    }

    /// Scenario: a reader that reads nothing for a minute, alone; the limit of the connection is another matter.
    @Test func whoKeepsNobodyWaitingIsNotCutOff() throws {
        let parts = Parts(parts: 20)
        let channel = try parts.channel()
        let reader = try #require(parts.page.join(channel) {})
        parts.page.start()
        parts.write()
        parts.loop.advanceTime(by: .seconds(60))
        #expect(channel.isActive && take(reader, 2) == [0, 1])
        reader.leave()
    }

    @Test func aPageThatNobodyReadsIsGivenUp() throws {
        let parts = Parts(parts: 60)
        let readers = try (0..<2).map { _ in try #require(parts.page.join(try parts.channel()) {}) }
        parts.page.start()
        parts.write()
        readers[0].leave()
        #expect(parts.ends.value == 0)
        readers[1].leave()
        #expect(parts.page.join(try parts.channel()) {} == nil)
        parts.write()
        #expect(parts.ends.value == 1)
    }
}
