package import NIOCore
internal import OTLP
package import Pipeline

/// Makes requests of spans that leave a store.
///
/// Spans of the same resource and scope stand together, so that a hundred traces of one service repeat its resource once.
/// One thread.
package final class TraceWriter {
    private struct Part {
        var resource: EnvelopeTable.ID
        var envelope: EnvelopeTable.ID
        var order: Int
        var fragment: Fragment
    }

    /// Parts of one scope.
    private struct Scope {
        var parts: Range<Int>
        var bytes: Int
    }

    /// A larger resource stands once for all of its neighbouring scopes.
    private static let repeatedBytesMax = 1024
    /// A request with more than one part of a trace has no more bytes than that.
    private static let requestBytesMax = 16 << 20
    private let store: TraceStore
    private let joins: Bool
    private let ledger: MemoryLedger
    /// Buffers of requests are used again: fresh pages cost several times what it costs to copy spans into them.
    private let pool: BufferPool
    /// Calls of `trim` since the last request.
    private var unusedTrims = 0
    private static let keptTrims = 10
    private var chain = SpanChain()
    private var parts: [Part] = []
    private var scopes: [Scope] = []

    /// - Parameters:
    ///   - joins: whether resources and scopes that are equal become one; else each stands as often as it came.
    ///   - eventLoop: where it lives.
    ///   - ledger: is charged with the requests, and with the buffers that are kept for the next ones.
    package init(_ store: TraceStore, joins: Bool = true, on eventLoop: any EventLoop, ledger: MemoryLedger) {
        self.store = store
        self.joins = joins
        self.ledger = ledger
        pool = BufferPool(eventLoop: eventLoop, ledger: ledger)
    }

    /// Spans that wait to be written.
    package var spans: Int { chain.spans }
    /// Their bytes, with all that stood around them.
    package var bytes: Int { chain.wireBytes }

    /// Takes spans over.
    package func add(_ chain: SpanChain) { self.chain.append(chain) }

    /// A request of the spans that were added, or of the first of them, and how many they are; nil when there are none. Frees
    /// them. One trace may have more spans than any receiver takes in a request, and than a buffer can hold.
    package func write() -> (payload: Payload, spans: Int)? {
        guard !chain.isEmpty else { return nil }
        unusedTrims = 0
        let chain = chain.takeFirst(bytes: Self.requestBytesMax, store.envelopes)
        collect(chain)
        let total = measure()
        let payload = Payload(capacity: total, pool: pool, ledger: ledger)
        fill(&payload.bytes)
        precondition(payload.bytes.readableBytes == total, "a request has the bytes that were measured")
        store.free(chain)
        parts.removeAll(keepingCapacity: true)
        scopes.removeAll(keepingCapacity: true)
        return (payload, chain.spans)
    }

    /// Frees the buffers that are kept for the next requests: when it is called for the tenth time since the last request, as
    /// about every second, or at once.
    package func trim(atOnce: Bool = false) {
        unusedTrims += 1
        if atOnce || unusedTrims >= Self.keptTrims { pool.trim() }
    }

    private func fill(_ buffer: inout ByteBuffer) {
        var scope = 0
        while scope < scopes.count {
            let end = endOfResource(from: scope)
            write(scope..<end, into: &buffer)
            scope = end
        }
    }

    private func collect(_ chain: SpanChain) {
        for fragment in chain.fragments {
            parts.append(
                Part(
                    resource: store.envelopes.resource(of: fragment.envelope), envelope: fragment.envelope,
                    order: parts.count, fragment: fragment))
        }
        guard joins else { return }
        parts.sort { ($0.resource, $0.envelope, $0.order) < ($1.resource, $1.envelope, $1.order) }
    }

    /// Finds the scopes and their lengths. Returns the length of the request.
    private func measure() -> Int {
        var start = 0
        while start < parts.count {
            let envelope = parts[start].envelope
            var end = start
            var bytes = store.envelopes.byteCount(envelope)
            repeat {
                bytes += parts[end].fragment.byteCount
                end += 1
            } while joins && end < parts.count && parts[end].envelope == envelope
            scopes.append(Scope(parts: start..<end, bytes: bytes))
            start = end
        }
        var total = 0
        var scope = 0
        while scope < scopes.count {
            let end = endOfResource(from: scope)
            total += Self.fieldBytes(contentBytes(scope..<end))
            scope = end
        }
        return total
    }

    private func resource(_ scope: Int) -> EnvelopeTable.ID { parts[scopes[scope].parts.lowerBound].resource }

    private func endOfResource(from start: Int) -> Int {
        var end = start + 1
        // A large resource is not written for each of its scopes: a few bytes for each would make gigabytes.
        guard joins || store.envelopes.byteCount(resource(start)) > Self.repeatedBytesMax else { return end }
        while end < scopes.count, resource(end) == resource(start) { end += 1 }
        return end
    }

    private func contentBytes(_ range: Range<Int>) -> Int {
        range.reduce(store.envelopes.byteCount(resource(range.lowerBound))) {
            $0 + Self.fieldBytes(scopes[$1].bytes)
        }
    }

    private func write(_ range: Range<Int>, into buffer: inout ByteBuffer) {
        Self.writeHeader(Field.Request.resources, contentBytes(range), into: &buffer)
        store.envelopes.withBytes(resource(range.lowerBound)) {
            _ = unsafe buffer.writeBytes($0.unsafeBytes)
        }
        for scope in range {
            Self.writeHeader(Field.ResourceEntry.scopes, scopes[scope].bytes, into: &buffer)
            let content = scopes[scope].parts
            store.envelopes.withBytes(parts[content.lowerBound].envelope) {
                _ = unsafe buffer.writeBytes($0.unsafeBytes)
            }
            for part in content {
                // SAFETY: the fragment lives until `write` frees it.
                _ = unsafe buffer.writeBytes(parts[part].fragment.fields.unsafeBytes)
            }
        }
    }

    // MARK: - Protobuf

    /// A message field of a number below 16 with a content of so many bytes.
    private static func fieldBytes(_ content: Int) -> Int {
        1 + max(1, (Int.bitWidth - content.leadingZeroBitCount + 6) / 7) + content
    }

    private static func writeHeader(_ number: UInt32, _ content: Int, into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(number << 3 | 2))
        var rest = content
        while rest >= 0x80 {
            buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        buffer.writeInteger(UInt8(truncatingIfNeeded: rest))
    }
}
