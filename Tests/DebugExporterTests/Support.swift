import Configuration
import Logging
import NIOCore
import OTLP
import Pipeline
import Synchronization
import TestSupport

@testable import DebugExporter

/// A batch of one slice for each request.
func batch(_ signal: Signal, _ requests: [[UInt8]], items: Int = 0) -> Batch {
    let batch = Batch(signal)
    for request in requests {
        let payload = Payload(ByteBuffer(bytes: request))
        batch.append(Slice(payload, offset: 0, count: request.count, items: items))
    }
    return batch
}

/// The text of requests.
func text(_ signal: Signal, _ requests: [UInt8]..., detailed: Bool) throws -> String {
    try text(of: batch(signal, requests), detailed: detailed)
}

/// The text of a batch.
func text(of batch: Batch, detailed: Bool) throws -> String {
    let parts = Mutex<[UInt8]>([])
    var writer = TextWriter { text in parts.withLock { $0 += text } }
    BatchText.write(batch, detailed: detailed, to: &writer)
    _ = try writer.finish()
    return String(decoding: parts.withLock { $0 }, as: UTF8.self)
}

/// A request of one resource and one scope.
func request(
    resource: (inout ProtoWriter) -> Void = { _ in }, scope: (inout ProtoWriter) -> Void = { _ in },
    schemaURL: String = "", entries: (inout ProtoWriter) -> Void
) -> [UInt8] {
    var writer = ProtoWriter()
    writer.message(1) {
        $0.message(1, resource)
        $0.message(2) {
            $0.message(1, scope)
            entries(&$0)
            if !schemaURL.isEmpty { $0.text(3, schemaURL + "/scope") }
        }
        if !schemaURL.isEmpty { $0.text(3, schemaURL) }
    }
    return writer.bytes
}

let start: UInt64 = 1_581_452_772_000_000_321
let end: UInt64 = 1_581_452_773_500_000_000
let traceID: [UInt8] = (1...16).map { $0 }
let spanID: [UInt8] = (0x11...0x18).map { $0 }

/// Keeps what is logged.
final class Journal: Sendable {
    private let entries = Mutex<[String]>([])

    var lines: [String] { entries.withLock { $0 } }

    func logger(_ level: Logger.Level = .info) -> Logger {
        var logger = Logger(label: "test") { _ in Handler(journal: self) }
        logger.logLevel = level
        return logger
    }

    private struct Handler: LogHandler {
        let journal: Journal
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]

        init(journal: Journal) { self.journal = journal }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted()
            let line = ([event.message.description] + fields).joined(separator: " ")
            journal.entries.withLock { $0.append(line) }
        }
    }
}
