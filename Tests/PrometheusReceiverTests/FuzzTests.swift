import Foundation
import TestSupport
import Testing

@testable import PrometheusReceiver

/// Pages with faults in them. Every page must be read or refused, and what is read must be valid OTLP.
/// SLUICE_FUZZ_SECONDS lengthens it.
@Suite struct FuzzTests {
    static let text = """
        # HELP requests_total Requests, \\"all\\" of them.\\n
        # TYPE requests_total counter
        requests_total{code="200",path="/a\\"b\\\\c"} 7 1700000000000
        # TYPE latency histogram
        latency_bucket{le="0.1"} 2
        latency_bucket{le="+Inf"} 6
        latency_sum 4.5e-3
        latency_count 6
        # TYPE size summary
        size{quantile="0.5"} NaN
        size_sum 1000
        size_count 20
        target_info{a="b"} 1
        {"utf.8","l.b"="ü"} 0x1p-2

        """
    static let openMetrics = """
        # TYPE http_seconds histogram
        # UNIT http_seconds seconds
        http_seconds_bucket{le="1.0"} 1 17.5 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.5 9
        http_seconds_bucket{le="+Inf"} 1
        http_seconds_count 1
        http_seconds_created 500
        # EOF

        """

    private func mutate(_ page: [UInt8], _ random: inout some RandomNumberGenerator) -> [UInt8] {
        var page = page
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !page.isEmpty else { break }
            let at = Int.random(in: 0..<page.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: page[at] = UInt8.random(in: 0...255, using: &random)
            case 1: page.remove(at: at)
            case 2: page.insert("\"{}\\\n# =,".utf8.randomElement(using: &random) ?? 0, at: at)
            case 3: page.removeSubrange(at...)
            case 4:
                let end = min(page.count, at + Int.random(in: 1...40, using: &random))
                page.insert(contentsOf: page[at..<end], at: Int.random(in: 0...page.count, using: &random))
            default: page[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
            }
        }
        return page
    }

    @Test func damagedPagesAreReadOrRefused() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(state: seed)
        let seconds = ProcessInfo.processInfo.environment["SLUICE_FUZZ_SECONDS"].flatMap { Double($0) }
        let end = Date().addingTimeInterval(seconds ?? 0)
        let native = nativeFamily()
        var rounds = 0
        var read = 0
        while rounds < 600 || Date() < end {
            rounds += 1
            let target = Target { $0.sampleLimit = 1000 }
            for _ in 0..<3 {
                let kind = rounds % 3
                let whole =
                    kind == 0 ? Array(Self.text.utf8) : kind == 1 ? Array(Self.openMetrics.utf8) : native
                let page = mutate(whole, &random)
                let lines = try target.scrape { () throws(PageError) in
                    if kind == 2 {
                        do { try parseProtobuf(page, into: target.table) } catch let error as PageError {
                            throw error
                        } catch {}
                    } else {
                        var parser = TextParser(kind == 0 ? .text : .openMetrics)
                        while try !parser.parse(page.span, bytesMax: 64, into: target.table) {}
                    }
                }
                #expect(
                    !lines.contains { $0.hasPrefix("INVALID") }, "seed \(seed), round \(rounds): \(lines)")
                if lines.contains(where: { $0.hasPrefix("up ") && $0.hasSuffix("= 1.0") }) { read += 1 }
            }
        }
        #expect(read > 0 && read < rounds * 3)
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
