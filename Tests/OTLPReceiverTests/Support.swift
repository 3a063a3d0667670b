import HTTP
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport

@testable import OTLPReceiver

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
    let answersLater: Bool

    init(answersLater: Bool = false) {
        self.answersLater = answersLater
    }

    func target(_ signal: Signal = .traces, transport: String = "http") -> Target {
        Target(
            signal: signal,
            entrance: Entrance(consumer: consumer, limiters: [limiter], answersLater: answersLater),
            counters: RequestCounters(
                registry: registry, receiver: "otlp", transport: transport, signal: signal))
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
