import Glibc
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import PrometheusExporter

/// If these failed, a scraper could end the gateway with odd bytes.
///
/// Runs a fixed number of cases from fixed seeds; `SLUICE_FUZZ_SECONDS` runs for so long with further seeds.
@Suite struct PageFuzzTests {
    private static let seeds = [
        "GET /metrics?name[]=a&name%5B%5D=b%2Fc HTTP/1.1\r\nhost: h\r\naccept: text/plain;version=0.0.4;q=0.5,*/*\r\n\r\n",
        "GET /metrics HTTP/1.0\r\naccept-encoding: gzip;q=0.1, *;q=0\r\nconnection: keep-alive\r\n\r\n",
        "HEAD /metrics HTTP/1.1\r\nhost: h\r\naccept: application/openmetrics-text;version=\"1.0.0\";escaping=dots\r\n\r\n",
        "POST /metrics HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc",
    ]
    private static let pieces: [[UInt8]] = [
        [0], [255], [37], [37, 50], [34], Array("\r\n".utf8), Array("\r\n\r\n".utf8), Array(";q=".utf8),
        Array(",".utf8),
        Array("nan".utf8), Array("-1e999".utf8), Array("%zz".utf8), Array("&name[]=".utf8), Array("=".utf8),
    ]

    @Test func anyBytesAtAll() {
        let clock = ContinuousClock()
        let seconds = getenv("SLUICE_FUZZ_SECONDS").flatMap { Int(String(cString: $0)) } ?? 0
        let end = clock.now + .seconds(seconds)
        var seed: UInt64 = 1
        while seed <= 2000 || clock.now < end {
            var random = SeededRandom(seed: seed)
            let bytes = Self.mutated(&random)
            Self.run(bytes, cuts: &random)
            #expect(
                PageChoice(
                    accept: [String(decoding: bytes, as: UTF8.self)], acceptEncoding: [], openMetrics: true
                )
                .contentType.utf8.count < 200)
            #expect(
                familyNames(ofQuery: String(decoding: bytes, as: UTF8.self)).count <= bytes.count,
                "seed \(seed)")
            seed += 1
        }
    }

    private static func mutated(_ random: inout SeededRandom) -> [UInt8] {
        var bytes = (0..<Int.random(in: 1...3, using: &random)).flatMap { _ in
            Array(seeds[Int.random(in: 0..<seeds.count, using: &random)].utf8)
        }
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let at = Int.random(in: 0...bytes.count, using: &random)
            let end = min(bytes.count, at + Int.random(in: 0...9, using: &random))
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes.removeSubrange(at..<end)
            case 1:
                bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &random))
            default:
                bytes.insert(contentsOf: pieces[Int.random(in: 0..<pieces.count, using: &random)], at: at)
            }
        }
        return bytes
    }

    /// Sends the bytes in pieces, has pages written, ends the connection.
    private static func run(_ bytes: [UInt8], cuts random: inout SeededRandom) {
        let channel = EmbeddedChannel()
        let runner = Runner()
        let desk = PageDesk(
            run: { runner.add($0) }, now: { .uptimeNanoseconds(1) },
            render: { _ in ListedPage([ByteBuffer(string: "page")]) })
        try? PageConnection.install(on: channel, desk: desk, rules: PageRules())
        try? channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...max(1, rest.count), using: &random))
            _ = try? channel.writeInbound(ByteBuffer(bytes: piece))
            rest = rest.dropFirst(piece.count)
            if Bool.random(using: &random) { runner.runAll() }
        }
        runner.runAll()
        var answers = ByteBuffer()
        while var part = try? channel.readOutbound(as: ByteBuffer.self) { answers.writeBuffer(&part) }
        #expect(answers.readableBytes == 0 || String(buffer: answers).hasPrefix("HTTP/1.1 "))
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }
}
