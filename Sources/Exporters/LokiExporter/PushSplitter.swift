internal import Compression
internal import NIOCore
internal import OTLP

/// Reads and halves pushes that the other end does not take.
enum PushSplitter {
    /// Two pushes with the entries of one, in order; nil when it has but one entry.
    static func halves(_ push: Push) -> [Push]? {
        guard push.entries > 1 else { return nil }
        return withRequest(of: push) { request in
            let middle = push.entries / 2
            return [
                part(of: request, 0..<middle, push.tenant),
                part(of: request, middle..<push.entries, push.tenant),
            ]
        }
    }

    /// How many entries each stream has, by its labels as Loki writes them.
    static func entriesByStream(_ push: Push) -> [String: Int] {
        withRequest(of: push) { request in
            var counts: [String: Int] = [:]
            for stream in request.fields {
                let entries = stream.bytes.fields.reduce(0) { $1.number == 2 ? $0 + 1 : $0 }
                counts[stream.bytes.message(1).text, default: 0] += entries
            }
            return counts
        }
    }

    /// The labels of the first stream, and the names in the metadata of its first entry, at most so many.
    static func firstEntry(_ push: Push, keysMax: Int) -> (labels: String, keys: [String]) {
        withRequest(of: push) { request in
            let stream = request.message(1)
            var keys: [String] = []
            for pair in stream.message(2).fields where pair.number == 3 && keys.count < keysMax {
                keys.append(pair.bytes.message(1).text)
            }
            return (stream.message(1).text, keys)
        }
    }

    private static func withRequest<Value>(of push: Push, _ body: (WireBytes) -> Value) -> Value {
        var plain = ByteBuffer()
        let isRead = unsafe push.body.withUnsafeReadableBytes { bytes -> Bool in
            do throws(InflateError) {
                // SAFETY: the bytes live for the call.
                _ = try unsafe Snappy.decompress(RawSpan(_unsafeBytes: bytes), limitBytes: 1 << 30) {
                    room, fill in
                    plain.writeWithOutputRawSpan(minimumWritableBytes: room, initializingWith: fill)
                }
                return true
            } catch {
                return false
            }
        }
        precondition(isRead, "a push of ours cannot be read")
        return unsafe plain.withUnsafeReadableBytes { unsafe body(WireBytes($0)) }
    }

    /// The push of these of the entries, counted over all streams.
    private static func part(of request: WireBytes, _ range: Range<Int>, _ tenant: String?) -> Push {
        var draft = ByteDraft(capacity: request.count / 2 + 64)
        var position = 0
        for stream in request.fields {
            var labels = WireBytes.none
            var first: Int?
            var end = 0
            for field in stream.bytes.fields {
                if field.number == 1 {
                    labels = field.bytes
                    continue
                }
                // Entries stand one behind the other.
                if range.contains(position) {
                    if first == nil { first = field.start }
                    end = field.end
                }
                position += 1
            }
            guard let first else { continue }
            let labelBytes = 1 + ByteDraft.varintBytes(labels.count) + labels.count
            draft.append(0x0A)
            draft.appendLength(labelBytes + end - first)
            unsafe draft.appendField(0x0A, labels.unsafeBytes)
            unsafe draft.append(UnsafeRawBufferPointer(rebasing: stream.bytes.unsafeBytes[first..<end]))
        }
        var body = ByteBuffer()
        // SAFETY: the bytes live for the call.
        _ = unsafe Snappy.compress(RawSpan(_unsafeBytes: draft.unsafeBytes)) { room, fill in
            body.writeWithOutputRawSpan(minimumWritableBytes: room, initializingWith: fill)
        }
        return Push(tenant: tenant, body: body, entries: range.count)
    }
}
