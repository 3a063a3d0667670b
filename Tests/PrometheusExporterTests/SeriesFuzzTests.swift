import Glibc
import OTLP
import TestSupport
import Testing

@testable import PrometheusExporter

@Suite("Arbitrary metrics")
struct SeriesFuzzTests {
    /// Two seconds, or as `SLUICE_FUZZ_SECONDS` says.
    private static var seconds: Int {
        getenv("SLUICE_FUZZ_SECONDS").flatMap { Int(String(cString: $0)) } ?? 2
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }

    /// Whatever a client sends, the store counts every point, pages can be written, and all memory comes
    /// back. Bytes that the receiver would refuse are given to it, too: it must not read outside of them.
    @Test("No request makes the store trap, lose count or leak")
    func requests() {
        let end = Self.now() + Self.seconds
        var seed: UInt64 = 1
        var kept = 0
        while Self.now() < end || seed < 200 {
            var under = StoreUnderTest(
                strategy: TranslationStrategy.allCases[Int(seed % 4)], withoutScopeInfo: seed % 3 == 0,
                limits: .init(series: 60, seriesPerMetric: 40))
            var random = SeededRandom(seed: seed)
            let isValid = seed % 3 > 0
            for round in 0..<20 {
                var bytes = RandomRequest.make(.metrics, seed: random.next())
                if !isValid {
                    for _ in 0..<(1 + random.below(5)) where !bytes.isEmpty {
                        bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                    }
                    bytes.removeLast(random.below(bytes.count + 1))
                }
                let items = (try? bytes.withUnsafeBytes { try summarize($0, as: .metrics) })?.items
                // In memory of exactly this size, so that a sanitizer sees a read behind it.
                let exact = UnsafeMutableRawBuffer(bytes)
                under.workPerTurn = 64 + random.below(200)
                let count = under.take(exact.bytes, at: UInt32(round))
                let dropped = under.store.takeEvents().drops.reduce(0, +)
                if let items, isValid { #expect(count + dropped == items) }
                kept += count
            }
            for format in ExpositionFormat.allCases {
                for escaping in NameEscaping.allCases {
                    let page = under.page(format, escaping: escaping, sendsTimestamps: seed % 2 == 0)
                    if format != .protobuf, isValid {
                        #expect(String(validating: page, as: UTF8.self) != nil)
                    }
                }
            }
            for index in 0..<under.store.slab.end {
                let flags = under.store.slab[index].flags
                if flags.contains(.isLive), !flags.contains(.isPinned) { under.store.remove(index) }
            }
            #expect(
                under.store.ownedBytes == 0 && under.store.exemplarBytes == 0 && under.store.slab.count == 0)
            seed += 1
        }
        #expect(kept > 0)
    }
}

/// A copy of bytes in memory of its own.
private final class UnsafeMutableRawBuffer {
    let bytes: UnsafeRawBufferPointer

    init(_ array: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: array.count, alignment: 1)
        memory.copyBytes(from: array)
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { bytes.deallocate() }
}
