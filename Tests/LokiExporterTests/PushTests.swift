import Glibc
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import LokiExporter

/// Without these records would be lost, sent twice or refused between a batch and its pushes.
@Suite("Batches as pushes")
struct PushTests {
    @Test(
        "every record is in exactly one push, whatever the pushes' size", arguments: [1, 700, 5000, 100_000])
    func nothingIsLost(pushBytes: Int) {
        var requests: [[UInt8]] = []
        var expected: [String] = []
        for index in 0..<12 {
            var lines: [String] = []
            for line in 0..<(index * 3) { lines.append("\(index)-\(line)") }
            requests.append(
                request(
                    resource: { $0.attribute(1, "service.name", "s\(index % 5)") },
                    lines: lines))
            expected += lines
        }
        let (pushes, _) = encode(requests, pushBytes: pushBytes)
        let lines = pushes.flatMap { $0.streams.flatMap { $0.entries.map(\.line) } }
        #expect(lines.sorted() == expected.sorted())
        for push in pushes {
            #expect(push.bytes <= pushBytes || push.streams.flatMap(\.entries).count == 1)
            #expect(Set(push.streams.map(\.labels)).count == push.streams.count)
        }
        #expect(pushes.count <= max(2, 198 * 200 / pushBytes))
    }

    @Test("entries are in order of time, those of one time in order of arrival")
    func order() {
        let times: [UInt64] = [5, 3, 9, 3, 1, 5, 3]
        var writer = ProtoWriter()
        for (index, time) in times.enumerated() {
            // Two resources that differ in metadata only: one stream.
            writer.message(1) {
                $0.message(1) {
                    $0.attribute(1, "service.name", "shop")
                    $0.attribute(1, "host.name", "h\(index % 2)")
                }
                $0.message(2) {
                    $0.message(2) {
                        $0.fixed64(1, time)
                        $0.body("\(index)")
                    }
                }
            }
        }
        let entries = encodeOne(writer.bytes).entries
        #expect(entries.map(\.line) == ["4", "1", "3", "6", "0", "5", "2"])
        #expect(entries.map { $0["host_name"] } == ["h0", "h1", "h1", "h0", "h0", "h1", "h0"])
    }

    @Test("a push has no more entries than it may")
    func entries() {
        var settings = EncoderSettings()
        settings.pushEntries = 10
        let (pushes, _) = encode([RequestBuilder.make(.logs, items: 25)], settings)
        #expect(pushes.map { $0.streams[0].entries.count } == [10, 10, 5])
    }

    @Test("ten thousand label sets are ten thousand streams")
    func manyStreams() {
        var requests: [[UInt8]] = []
        for index in 0..<10_000 {
            requests.append(
                request(
                    resource: { $0.attribute(1, "service.name", "s\(index)") },
                    records: { $0.body("\(index)") }))
        }
        let (pushes, changes) = encode(requests + requests)
        var lines: [String: Int] = [:]
        for stream in pushes.flatMap(\.streams) {
            for entry in stream.entries {
                #expect(stream.labels == "{service_name=\"s\(entry.line)\"}")
                lines[entry.line, default: 0] += 1
            }
        }
        #expect(lines.count == 10_000 && lines.values.allSatisfy { $0 == 2 } && changes.isEmpty)
    }

    /// If it failed, every batch of a large cluster would work out its labels anew.
    @Test("what was worked out for ten thousand resources is kept")
    func manyContexts() {
        var encoder = PushEncoder(EncoderSettings())
        let batch = makeLogs(
            (0..<10_000).map { index in
                request(resource: { $0.attribute(1, "service.name", "s\(index)") }, records: { _ in })
            })
        for _ in 0..<2 {
            var cursor: PushCursor? = PushCursor()
            while let position = cursor {
                cursor = encoder.encode(batch, from: position, pushBytes: 1 << 20, now: now).next
            }
        }
        #expect((10_000...12_000).contains(encoder.contexts.made))
    }

    /// If it failed, labels of the records' own would be worked out for each of them, or fill the memory.
    @Test("streams of records with labels of their own are kept, within bounds")
    func ownStreams() {
        var settings = EncoderSettings()
        settings.severityTextAsLabel = true
        var encoder = PushEncoder(settings)
        var lines: [String: String] = [:]
        for round in 0..<60 {
            var writer = ProtoWriter()
            for resource in 0..<10 {
                writer.message(1) {
                    $0.message(1) { $0.attribute(1, "service.name", "s\(resource)") }
                    $0.message(2) { scope in
                        for record in 0..<100 {
                            // The first ten come again in every round.
                            let text = record < 10 ? "\(record)" : "\(round)-\(record)"
                            scope.message(2) {
                                $0.text(3, text)
                                $0.body("s\(resource) \(text)")
                            }
                        }
                    }
                }
            }
            let chunk = encoder.encode(
                makeLogs([writer.bytes]), from: PushCursor(), pushBytes: 8 << 20, now: now)
            for stream in chunk.pushes.flatMap({ DecodedPush($0).streams }) {
                for entry in stream.entries { lines[entry.line] = stream.labels }
            }
        }
        #expect(lines.count == 10 * (10 + 60 * 90))
        for (line, labels) in lines {
            let words = line.split(separator: " ")
            #expect((labels == "{service_name=\"\(words[0])\", severity_text=\"\(words[1])\"}") as Bool)
        }
        #expect(encoder.contexts.made == 10 && encoder.contexts.bytes <= ContextCache.bytesMax)
        #expect(encoder.contexts.bytes > 1 << 20)
        let resource = request(records: { _ in })
        let context = resource.withUnsafeBytes {
            ResourceContext(WireBytes($0).message(1).message(1), settings)
        }
        let own = [Labels.Pair(name: Array("a".utf8), value: Array("b".utf8))]
        #expect(context.ownStream(own, settings.limits) === context.ownStream(own, settings.limits))
        let large = [Labels.Pair(name: Array("a".utf8), value: [UInt8](repeating: 0x61, count: 100_000))]
        let before = context.sizeBytes
        _ = context.ownStream(large, settings.limits)
        #expect(context.sizeBytes == before)
    }

    /// If it failed, one record of many megabytes would take its memory for as long as the gateway runs.
    @Test("memory of a large record is given back")
    func memoryIsGivenBack() {
        var encoder = PushEncoder(EncoderSettings())
        let batch = makeLogs([
            request(records: { $0.message(5) { $0.field(7, [UInt8](repeating: 1, count: 9 << 20)) } })
        ])
        let chunk = encoder.encode(batch, from: PushCursor(), pushBytes: 1 << 20, now: now)
        #expect(chunk.changes[.lineSize] == 1)
        #expect(encoder.scratch.capacity <= 4 << 20)
    }

    @Test("a batch without records makes no push", arguments: [[], [[]], [[0x0A, 0x00]]] as [[[UInt8]]])
    func empty(requests: [[UInt8]]) {
        #expect(encode(requests).pushes.isEmpty)
    }

    /// Senders write the scope before its records; other orders are allowed.
    @Test("fields may come in any order")
    func anyOrder() {
        var writer = ProtoWriter()
        writer.message(1) {
            $0.message(2) {
                $0.message(2) { $0.body("a") }
                $0.text(3, "https://schema")
                $0.message(1) { $0.text(1, "lib") }
            }
            $0.message(1) { $0.attribute(1, "service.name", "shop") }
        }
        let stream = encodeOne(writer.bytes)
        #expect(stream.labels == #"{service_name="shop"}"#)
        #expect(stream.entries[0].metadata == ["scope_name=lib"])
    }

    /// Guarantees: no bytes, whatever they are, make the encoder read or write outside of what is its own, or stop.
    /// Lengthened by SLUICE_FUZZ_SECONDS.
    @Test("bytes of any kind harm nobody")
    func fuzz() {
        let seconds = getenv("SLUICE_FUZZ_SECONDS").flatMap { Double(String(cString: $0)) } ?? 0.5
        let clock = ContinuousClock()
        let end = clock.now + .seconds(seconds)
        var random = SeededRandom(seed: 11)
        var rounds: UInt64 = 0
        var legacy = EncoderSettings()
        legacy.mapping = .legacy
        repeat {
            rounds += 1
            var bytes = RandomRequest.make(.logs, seed: rounds)
            if bytes.isEmpty { continue }
            for _ in 0..<random.below(6) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            if (try? bytes.withUnsafeBytes({ try summarize($0, as: .logs) })) != nil {
                // What the receiver lets in is text of UTF-8 all over: the pushes can be read.
                _ = encode([bytes], pushBytes: 1 + random.below(2000))
                _ = encode([bytes], legacy)
            } else {
                var encoder = PushEncoder(random.below(2) == 0 ? legacy : EncoderSettings())
                var cursor: PushCursor? = PushCursor()
                while let position = cursor {
                    cursor =
                        encoder.encode(makeLogs([bytes]), from: position, pushBytes: 900, now: now).next
                }
            }
        } while clock.now < end || rounds < 100
    }
}
