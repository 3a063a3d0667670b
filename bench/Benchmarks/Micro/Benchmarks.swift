import Benchmark
import Compression
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport

// What the hot path is made of, by itself. bench/README.md says how to run it; figures of the whole are bench/run's.
let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput], warmupIterations: 5, scalingFactor: .kilo,
        maxDuration: .seconds(3), maxIterations: 1000)

    thePass()
    theSplitter()
    theRing()
    theBatcher()
    theCodecs()
    zstdAndSnappy()
    theJSON()
}

/// One pass over a request of 100 items: structure, lengths, wire types, nesting and texts checked, items counted.
private func thePass() {
    for signal in Signal.allCases {
        let request = RequestBuilder.make(signal, items: 100)
        Benchmark("pass over 100 \(signal.itemNoun), \(request.count) bytes") { benchmark in
            for _ in benchmark.scaledIterations {
                request.withUnsafeBytes { bytes in blackHole(try? summarize(bytes, as: signal)) }
            }
        }
    }
}

/// A request of 1000 spans cut into pieces of 300, by envelopes.
private func theSplitter() {
    let request = RequestBuilder.makeTraces(spans: 1000)
    Benchmark("split 1000 spans by 300", configuration: .init(scalingFactor: .one)) { benchmark in
        for _ in benchmark.scaledIterations {
            request.withUnsafeBytes { bytes in
                var splitter = RequestSplitter(bytes, .traces)
                while let piece = splitter.next(maxItems: 300, maxBytes: .max) { blackHole(piece.items) }
            }
        }
    }
}

/// A batch through the ring between two stages, on one thread: what a hand-over costs without a wake-up.
private func theRing() {
    let batch = Batch(.traces, payload: Payload(ByteBuffer()), items: 0)
    let ring = BoundedRing<Batch>(capacity: 1024)
    Benchmark("ring: push and pop a batch") { benchmark in
        for _ in benchmark.scaledIterations {
            guard ring.push(batch), ring.pop() != nil else { return benchmark.error("the ring is full") }
        }
    }
}

/// Requests of 100 spans gathered until there are 8192 spans; and the same cut at 8192 exactly.
private func theBatcher() {
    let request = ByteBuffer(bytes: RequestBuilder.makeTraces(spans: 100))
    for (name, maxSize) in [("", 0), (", at most 8192", 8192)] {
        Benchmark("batcher: a request of 100 spans\(name)") { benchmark in
            let limits = BatchAccumulator.Limits(timeout: .seconds(3600), minSize: 8192, maxSize: maxSize)
            let accumulator = BatchAccumulator(limits, signal: .traces, eventLoop: EmbeddedEventLoop()) {
                batch, _, _ in blackHole(batch.items)
            }
            for _ in benchmark.scaledIterations {
                accumulator.append(Batch(.traces, payload: Payload(request), items: 100)) { _, _ in }
            }
            accumulator.flush()
        }
    }
}

/// A request of 100 items as OTLP JSON, both ways.
private func theJSON() {
    for signal in Signal.allCases {
        let request = RequestBuilder.make(signal, items: 100)
        let text = request.withUnsafeBytes { otlpJSON($0, signal) }
        var writer = OTLPJSONWriter(capacity: 2 * text.count)
        Benchmark("JSON: write \(text.count) bytes, 100 \(signal.itemNoun)") { benchmark in
            for _ in benchmark.scaledIterations {
                writer.text.removeAll()
                writer.begin(signal)
                request.withUnsafeBytes { writer.append(WireBytes($0)) }
                writer.end()
                blackHole(writer.text.count)
            }
        }
        var output = [UInt8](repeating: 0, count: 2 * request.count)
        Benchmark("JSON: read \(text.count) bytes, 100 \(signal.itemNoun)") { benchmark in
            for _ in benchmark.scaledIterations {
                let count = try text.withUnsafeBytes { text in
                    try output.withUnsafeMutableBytes { try readOTLPJSON(text, as: signal, into: $0) }
                }
                blackHole(count)
            }
        }
    }
}

/// gzip of a request of 100 spans, both ways.
private func theCodecs() {
    let request = RequestBuilder.makeTraces(spans: 100)
    let gzipper = Gzipper()
    let gunzipper = Gunzipper()
    var member = ByteBuffer()
    _ = gzipper.compress(request.span.bytes) {
        member.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1)
    }
    let compressed = [UInt8](buffer: member)
    Benchmark("gzip \(request.count) bytes", configuration: .init(scalingFactor: .one)) { benchmark in
        var output = ByteBuffer()
        for _ in benchmark.scaledIterations {
            output.clear()
            _ = gzipper.compress(request.span.bytes) {
                output.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1)
            }
        }
    }
    Benchmark("gunzip to \(request.count) bytes", configuration: .init(scalingFactor: .one)) { benchmark in
        var output = ByteBuffer()
        for _ in benchmark.scaledIterations {
            output.clear()
            _ = try gunzipper.inflate(
                compressed.span.bytes, as: .gzip, limitBytes: 4 << 20,
                appending: { output.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1) })
        }
    }
}

/// zstd and snappy of the same request of 100 spans, both ways.
private func zstdAndSnappy() {
    let request = RequestBuilder.makeTraces(spans: 100)
    let decompressor = ZstdDecompressor()
    let limit = 4 << 20
    for level in [1, 3] {
        let compressor = ZstdCompressor(level: level)
        bothWays(
            "zstd level \(level)", request, compress: { compressor.compress($0.span.bytes, appending: $1) },
            decompress: { try decompressor.inflate($0.span.bytes, limitBytes: limit, appending: $1) })
    }
    bothWays(
        "snappy block", request, compress: { Snappy.compress($0.span.bytes, appending: $1) },
        decompress: { try Snappy.decompress($0.span.bytes, limitBytes: limit, appending: $1) })
    bothWays(
        "snappy frames", request, compress: { SnappyFrames.compress($0.span.bytes, appending: $1) },
        decompress: { try SnappyFrames.decompress($0.span.bytes, limitBytes: limit, appending: $1) })
}

private func bothWays(
    _ name: String, _ request: [UInt8], compress: @escaping ([UInt8], AppendingRoom) -> Int,
    decompress: @escaping ([UInt8], AppendingRoom) throws -> Int
) {
    var body = ByteBuffer()
    _ = compress(request) { body.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1) }
    let compressed = [UInt8](buffer: body)
    let sizes = "\(request.count) bytes and \(compressed.count)"
    Benchmark("\(name): compress, \(sizes)", configuration: .init(scalingFactor: .one)) { benchmark in
        var output = ByteBuffer()
        for _ in benchmark.scaledIterations {
            output.clear()
            blackHole(
                compress(request) {
                    output.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1)
                })
        }
    }
    Benchmark("\(name): decompress, \(sizes)", configuration: .init(scalingFactor: .one)) { benchmark in
        var output = ByteBuffer()
        for _ in benchmark.scaledIterations {
            output.clear()
            blackHole(
                try decompress(compressed) {
                    output.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1)
                })
        }
    }
}
