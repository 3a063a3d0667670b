import Compression
import NIOCore
import OTLP
import Pipeline
import TestSupport

@testable import LokiExporter

/// An entry as Loki sees it.
struct DecodedEntry: Equatable {
    var time: UInt64 = 0
    var line = ""
    var metadata: [String] = []

    /// The value of a name in the metadata.
    subscript(name: String) -> String? {
        metadata.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
    }
}

/// A stream of a push as Loki sees it.
struct DecodedStream: Equatable {
    var labels = ""
    var entries: [DecodedEntry] = []
}

/// A push as Loki sees it: read plainly, without the code under test. Traps on what is no push.
struct DecodedPush: Equatable {
    var tenant: String?
    var streams: [DecodedStream] = []
    var bytes = 0

    init(_ push: Push) {
        self.init(tenant: push.tenant, body: push.body)
        precondition(streams.reduce(0) { $0 + $1.entries.count } == push.entries)
    }

    init(tenant: String?, body: ByteBuffer) {
        self.tenant = tenant
        let body = Array(body.readableBytesView)
        var plain: [UInt8] = []
        let count = try? Snappy.decompress(body.span.bytes, limitBytes: 64 << 20) { minimum, fill in
            plain = [UInt8](unsafeUninitializedCapacity: minimum) { buffer, count in
                var span = OutputRawSpan(
                    buffer: UnsafeMutableRawBufferPointer(buffer), initializedCount: 0)
                fill(&span)
                count = span.finalize(for: UnsafeMutableRawBufferPointer(buffer))
            }
        }
        precondition(count == plain.count)
        bytes = plain.count
        for (number, stream) in fields(plain[...]) {
            precondition(number == 1)
            var decoded = DecodedStream()
            for (number, field) in fields(stream) {
                switch number {
                case 1: decoded.labels = String(decoding: field, as: UTF8.self)
                case 2: decoded.entries.append(DecodedPush.entry(field))
                default: preconditionFailure("field \(number) of a stream")
                }
            }
            streams.append(decoded)
        }
    }

    private static func entry(_ bytes: ArraySlice<UInt8>) -> DecodedEntry {
        var entry = DecodedEntry()
        for (number, field) in fields(bytes) {
            switch number {
            case 1:
                for (number, value) in numbers(field) {
                    entry.time += number == 1 ? value * 1_000_000_000 : value
                }
            case 2: entry.line = String(validating: field, as: UTF8.self)!
            case 3:
                let texts = fields(field).map { String(validating: $0.1, as: UTF8.self)! }
                precondition(texts.count == 2)
                entry.metadata.append(texts[0] + "=" + texts[1])
            default: preconditionFailure("field \(number) of an entry")
            }
        }
        return entry
    }
}

private func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while let byte = bytes.popFirst() {
        value |= UInt64(byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 { return value }
    }
    preconditionFailure("a varint without an end")
}

private func fields(_ message: ArraySlice<UInt8>) -> [(Int, ArraySlice<UInt8>)] {
    var rest = message
    var found: [(Int, ArraySlice<UInt8>)] = []
    while !rest.isEmpty {
        let tag = varint(&rest)
        precondition(tag & 7 == 2)
        let count = Int(varint(&rest))
        precondition(count <= rest.count)
        found.append((Int(tag >> 3), rest.prefix(count)))
        rest = rest.dropFirst(count)
    }
    return found
}

private func numbers(_ message: ArraySlice<UInt8>) -> [(Int, UInt64)] {
    var rest = message
    var found: [(Int, UInt64)] = []
    while !rest.isEmpty {
        let tag = varint(&rest)
        precondition(tag & 7 == 0)
        found.append((Int(tag >> 3), varint(&rest)))
    }
    return found
}

/// A batch of one slice for each request.
func makeLogs(_ requests: [[UInt8]], items: Int = 0) -> Batch {
    let batch = Batch(.logs)
    for request in requests {
        let payload = Payload(ByteBuffer(bytes: request))
        batch.append(Slice(payload, offset: 0, count: request.count, items: items))
    }
    return batch
}

let now: UInt64 = 1_764_000_000_000_000_000

/// All pushes of a batch, in order, and what was changed.
func encode(
    _ requests: [[UInt8]], _ settings: EncoderSettings = EncoderSettings(), pushBytes: Int? = nil
) -> (pushes: [DecodedPush], changes: LokiLimits.Changes) {
    encode(makeLogs(requests), settings, pushBytes: pushBytes)
}

/// The same of a batch.
func encode(
    _ batch: Batch, _ settings: EncoderSettings, pushBytes: Int? = nil
) -> (pushes: [DecodedPush], changes: LokiLimits.Changes) {
    var encoder = PushEncoder(settings)
    var cursor: PushCursor? = PushCursor()
    var pushes: [DecodedPush] = []
    var changes = LokiLimits.Changes()
    while let position = cursor {
        let chunk = encoder.encode(
            batch, from: position, pushBytes: pushBytes ?? settings.pushBytes, now: now)
        pushes += chunk.pushes.map { DecodedPush($0) }
        changes.add(chunk.changes)
        precondition(chunk.next != cursor || chunk.next == nil, "no progress")
        cursor = chunk.next
    }
    return (pushes, changes)
}

/// The one stream of a request that gives one.
func encodeOne(_ request: [UInt8], _ settings: EncoderSettings = EncoderSettings()) -> DecodedStream {
    let (pushes, _) = encode([request], settings)
    precondition(pushes.count == 1 && pushes[0].streams.count == 1, "\(pushes)")
    return pushes[0].streams[0]
}

/// A request of one resource and one scope.
func request(
    resource: (inout ProtoWriter) -> Void = { $0.attribute(1, "service.name", "shop") },
    scope: (inout ProtoWriter) -> Void = { _ in }, records: ((inout ProtoWriter) -> Void)...
) -> [UInt8] {
    var writer = ProtoWriter()
    writer.message(1) {
        $0.message(1, resource)
        $0.message(2) {
            $0.message(1, scope)
            for record in records { $0.message(2, record) }
        }
    }
    return writer.bytes
}

/// The same with a record for each line.
func request(resource: (inout ProtoWriter) -> Void, lines: [String]) -> [UInt8] {
    var writer = ProtoWriter()
    writer.message(1) {
        $0.message(1, resource)
        $0.message(2) { scope in
            for line in lines { scope.message(2) { $0.body(line) } }
        }
    }
    return writer.bytes
}

extension ProtoWriter {
    /// The body of a record: a text.
    mutating func body(_ text: String) { message(5) { $0.text(1, text) } }
}
