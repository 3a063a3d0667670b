import Compression
import Configuration
import HTTP
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport

@testable import RequestServing

/// A memory limiter that says what the test wants. Event loop only.
final class FakeLimiter: AdmissionControl, @unchecked Sendable {
    var refusesAbove = Int.max
    var shouldPause = false
    private(set) var asked: [Int] = []

    func admit(bytes: Int) -> Refusal? {
        asked.append(bytes)
        return bytes > refusesAbove ? Refusal(.memory, "full", retryAfterSeconds: 1) : nil
    }
}

/// What stands behind a receiver in tests.
struct Rear {
    let consumer = FakeConsumer()
    let limiter = FakeLimiter()
    let registry = MetricRegistry()
    /// Count what is accepted.
    private var sources: [Signal: NodeAccount] = [:]
    let answersLater: Bool
    let keepsGzip: Bool

    init(answersLater: Bool = false, keepsGzip: Bool = false) {
        self.answersLater = answersLater
        self.keepsGzip = keepsGzip
        for signal in Signal.allCases {
            let account = NodeAccount(kind: .receiver, id: ComponentID(type: "otlp"), signal: signal)
            registry.add(account)
            sources[signal] = account
        }
    }

    func target(_ signal: Signal = .traces, transport: String = "http") -> Target {
        Target(
            signal: signal,
            input: PipelineInput(
                consumer, admission: [limiter], answersLater: answersLater, keepsGzip: keepsGzip),
            counters: RequestCounters(
                registry: registry, source: sources[signal]!, receiver: "otlp", transport: transport,
                signal: signal, logger: makeSilentLogger()))
    }

    /// The bytes of each batch that was taken.
    var takenBytes: [[UInt8]] {
        consumer.taken.map { $0.slices.flatMap { Array($0.bytes.readableBytesView) } }
    }

    /// The value of the one series of this name.
    func count(_ name: String) -> Int? {
        for line in String(decoding: registry.render(), as: UTF8.self).split(separator: "\n")
        where line.hasPrefix(name) {
            return line.split(separator: " ").last.flatMap { Int($0) }
        }
        return nil
    }
}

/// A header section of these fields.
func head(_ fields: [(String, String)]) -> HeaderBlock {
    let block = HeaderBlock()
    for (name, value) in fields {
        Array(name.utf8).withUnsafeBytes { name in
            Array(value.utf8).withUnsafeBytes { block.append(name: name, value: $0) }
        }
    }
    return block
}

extension RequestReader {
    func append(_ bytes: [UInt8]) -> Answer.Failure? {
        bytes.withUnsafeBytes { append($0) }
    }
}

extension LoopTools {
    func reader(grpc: Bool = false, limit: Int = 4 << 20) -> RequestReader {
        RequestReader(tools: self, limits: RequestLimits(isGRPC: grpc, bodyBytesMax: limit))
    }
}

/// One gzip member.
func gzipped(_ bytes: [UInt8]) -> [UInt8] {
    var buffer = ByteBuffer()
    _ = Gzipper().compress(bytes.span.bytes) { minimum, fill in
        buffer.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
    }
    return Array(buffer.readableBytesView)
}

/// A zlib stream (RFC 1950) of one stored block.
func zlibbed(_ bytes: [UInt8]) -> [UInt8] {
    let count = UInt16(bytes.count)
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in bytes {
        low = (low + UInt32(byte)) % 65_521
        high = (high + low) % 65_521
    }
    func big<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
    return [0x78, 0x01, 0x01] + big(count.byteSwapped) + big((~count).byteSwapped) + bytes
        + big(high << 16 | low)
}

/// The five bytes before a gRPC message, and the message.
func grpcMessage(_ bytes: [UInt8], flag: UInt8 = 0, length: Int? = nil) -> [UInt8] {
    let length = UInt32(length ?? bytes.count)
    return [flag] + withUnsafeBytes(of: length.bigEndian) { Array($0) } + bytes
}

extension Answer {
    var failure: Failure? {
        if case .failed(let failure) = self { failure } else { nil }
    }

    var isAccepted: Bool {
        if case .accepted = self { true } else { false }
    }
}
