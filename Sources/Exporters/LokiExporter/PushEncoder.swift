internal import Compression
internal import NIOCore
internal import OTLP
internal import Pipeline

/// A push on its way: one request to Loki.
struct Push: Sendable {
    /// Whom it is for; nil is the tenant of the configured headers.
    var tenant: String?
    /// A `PushRequest`, compressed.
    var body: ByteBuffer
    /// Entries in it; each is a log record.
    var entries: Int
    /// Of which it is a part, if Loki did not take that.
    var family: PushFamily?
    /// How often it failed as a whole for the same reason, and what had been stored when it did first.
    var failures = 0
    var failureReason = ""
    var storedBefore: UInt64 = 0

    /// Bytes before compression, which a snappy block begins with.
    var plainBytes: Int {
        var size = 0
        for (index, byte) in body.readableBytesView.prefix(5).enumerated() {
            size |= Int(byte & 0x7F) << (7 * index)
            if byte < 0x80 { break }
        }
        return size
    }
}

/// How far a batch has been encoded: the next record, by the offsets of the fields that lead to it.
struct PushCursor: Equatable, Sendable {
    var slice = 0
    /// From the slice's start; the others are the same.
    var resource = 0
    var scope: Int?
    var record: Int?
}

/// What one step of encoding gives: pushes of one chunk of a batch, one for each tenant.
struct PushChunk: Sendable {
    var pushes: [Push]
    /// Where to go on; nil when the batch has no more records.
    var next: PushCursor?
    /// What was changed to stay within Loki's limits.
    var changes: LokiLimits.Changes
}

/// Writes pushes from the wire form of log records.
///
/// A chunk at a time: records are written as entries, one behind the other in wire order, until they would make a push
/// that is too large; then they are grouped by stream, ordered by time and compressed. So an encoder takes the memory of
/// two pushes, one before and one behind the grouping, whatever the batch, and what was written is still in the cache
/// when it is compressed. Between chunks it keeps `keptBytesMax` of each and what its caches hold.
///
/// Resources, keys and streams seen before cost a look-up. One thread at a time.
struct PushEncoder: ~Copyable {
    /// An entry in `arena`.
    struct Place {
        var stream: UInt32
        var start: UInt32
        var count: UInt32
        /// Nanoseconds since 1970.
        var time: UInt64
    }

    /// A stream of the chunk.
    struct Stream {
        var labels: [UInt8]
        var tenant: Int
        var entries = 0
        /// Of its entries.
        var bytes = 0
    }

    /// What a record belongs to. Borrowed.
    private struct Source {
        let context: ResourceContext
        let resource: WireBytes
        let scope: WireBytes
    }

    private struct StreamKey: Hashable {
        var tenant: Int
        var labels: [UInt8]
    }

    /// Room before the first entry for the head of a push of one stream, which then needs no copy.
    static let headRoom = 4096
    /// What a stream's head takes beside its labels, at most; the same for an entry.
    static let frameBytesMax = 12
    /// Larger buffers, of larger entries, are given back after use.
    private static let keptBytesMax = 4 << 20

    let settings: EncoderSettings
    var keys: KeyCache
    var contexts = ContextCache()
    /// Entries of the chunk, after `headRoom` bytes.
    var arena = ByteDraft(capacity: 64 << 10)
    var places: ContiguousArray<Place> = []
    var streams: [Stream] = []
    private var streamIndices: [StreamKey: Int] = [:]
    var tenants: [[UInt8]] = []
    private var tenantIndices: [[UInt8]: Int] = [:]
    /// Bytes that the streams' heads will take.
    private var headBytes = 0
    /// The metadata that the records of a scope have in common: that of the resource, then that of the scope.
    var tail = ByteDraft(capacity: 1024)
    /// Bytes of it that are the resource's.
    var tailResource = 0
    var tailPairs = 0
    var tailBytes = 0
    var tailChanges = LokiLimits.Changes()
    var tailScope: [UInt8] = []
    var tailContext: ResourceContext?
    var scratch = ByteDraft(capacity: 256)
    var push = ByteDraft(capacity: 16)
    private var compressed = ByteBuffer()
    var changes = LokiLimits.Changes()
    /// Numbers the chunks, and in them the slices of other tenants, so that contexts know whether the stream that they
    /// remember is of this one.
    private var epoch: UInt64 = 0
    /// The tenant of a slice's records without a hint; empty for that of the configuration.
    private(set) var sliceTenant: [UInt8] = []
    /// Taken for records without a time.
    var now: UInt64 = 0

    init(_ settings: EncoderSettings) {
        self.settings = settings
        keys = KeyCache(settings.logRules)
    }

    /// Encodes the next chunk of a batch of logs.
    /// - Parameter pushBytes: most bytes of a push before compression.
    mutating func encode(
        _ batch: Batch, from cursor: PushCursor, pushBytes: Int, now: UInt64
    ) -> PushChunk {
        self.now = now
        begin()
        let slices = batch.slices
        var position = cursor
        var next: PushCursor?
        while next == nil, position.slice < slices.count {
            let bytes = slices[position.slice].bytes
            setTenant(of: slices[position.slice], counts: position.record == nil)
            unsafe bytes.withUnsafeReadableBytes { memory in
                next = unsafe encodeSlice(WireBytes(memory), from: position, pushBytes: pushBytes)
            }
            position = PushCursor(slice: position.slice + 1)
        }
        defer { end() }
        return PushChunk(pushes: makePushes(), next: next, changes: changes)
    }

    private mutating func begin() {
        epoch += 1
        changes = LokiLimits.Changes()
        arena.skip(Self.headRoom)
    }

    private mutating func end() {
        arena.truncate(to: 0)
        push.truncate(to: 0)
        arena.trim(to: Self.keptBytesMax)
        push.trim(to: Self.keptBytesMax)
        scratch.truncate(to: 0)
        scratch.trim(to: Self.keptBytesMax)
        if tailScope.count > Self.keptBytesMax {
            tailScope = []
            tailContext = nil
        }
        if compressed.capacity > Self.keptBytesMax { compressed = ByteBuffer() }
        places.removeAll(keepingCapacity: true)
        streams.removeAll(keepingCapacity: true)
        streamIndices.removeAll(keepingCapacity: true)
        tenants.removeAll(keepingCapacity: true)
        tenantIndices.removeAll(keepingCapacity: true)
        headBytes = 0
    }

    // MARK: - Walking

    /// Encodes a slice's records. Returns where the chunk became full.
    private mutating func encodeSlice(
        _ request: WireBytes, from cursor: PushCursor, pushBytes: Int
    ) -> PushCursor? {
        var position = cursor
        for entry in request.fields(cursor.resource..<request.count)
        where entry.number == Field.Request.resources && entry.isBytes {
            position.resource = entry.start
            let resource = entry.bytes.leadingMessage(Field.ResourceEntry.resource)
            let context = contexts.context(resource, settings)
            for scope in request.fields((position.scope ?? entry.contentStart)..<entry.end)
            where scope.number == Field.ResourceEntry.scopes && scope.isBytes {
                position.scope = scope.start
                let scopeMessage = scope.bytes.leadingMessage(Field.ScopeEntry.scope)
                setTail(scopeMessage, context)
                let source = Source(context: context, resource: resource, scope: scopeMessage)
                for record in request.fields((position.record ?? scope.contentStart)..<scope.end)
                where record.number == Field.ScopeEntry.entries && record.isBytes {
                    guard encode(record.bytes, of: source, pushBytes: pushBytes) else {
                        position.record = record.start
                        return position
                    }
                }
                position.record = nil
            }
            position.scope = nil
        }
        return nil
    }

    /// Writes an entry; takes it back and says false when the push would be too large by it.
    private mutating func encode(
        _ record: WireBytes, of source: Source, pushBytes: Int
    ) -> Bool {
        let context = source.context
        let before = (start: arena.count, streams: streams.count, heads: headBytes)
        let changesBefore = changes
        var quick: Place?
        if !context.needsGeneral, !settings.severityTextAsLabel, settings.allowsQuick {
            quick = encodeQuickly(record, context)
            if quick != nil { changes.add(context.labelChanges) }
        }
        let place =
            quick
            ?? encodeGenerally(record, context, resource: source.resource, scope: source.scope)
        changes.add(tailChanges)
        let size = arena.count - Self.headRoom + headBytes
        if size > pushBytes || places.count >= settings.pushEntries, !places.isEmpty {
            arena.truncate(to: before.start)
            changes = changesBefore
            // A stream of this entry only stays in the list, without entries: it is not written.
            headBytes = before.heads
            return false
        }
        places.append(place)
        streams[Int(place.stream)].entries &+= 1
        streams[Int(place.stream)].bytes &+= Int(place.count)
        return true
    }

    // MARK: - Streams

    /// Takes the tenant of a slice's records from what its client sent beside them.
    /// - Parameter counts: not for a slice whose first records an earlier chunk has.
    private mutating func setTenant(of slice: Slice, counts: Bool) {
        guard let key = settings.tenantMetadataKey else { return }
        var tenant = slice.payload.metadata?[key].map { Array($0.utf8) } ?? []
        if !tenant.isEmpty, !isTenant(tenant) {
            if counts { changes.add(.tenant, slice.items) }
            tenant = []
        }
        guard tenant != sliceTenant else { return }
        sliceTenant = tenant
        epoch += 1
    }

    /// The stream of a resource's records.
    @inline(__always)
    mutating func stream(of context: ResourceContext) -> Int {
        if context.epoch == epoch { return context.stream }
        let index = stream(context.labelText, tenant: context.tenant ?? sliceTenant)
        context.epoch = epoch
        context.stream = index
        return index
    }

    /// The stream of records with labels of their own.
    mutating func stream(of own: OwnStream, tenant: [UInt8]) -> Int {
        if own.epoch == epoch, own.tenant == tenant { return own.stream }
        own.stream = stream(own.labelText, tenant: tenant)
        own.epoch = epoch
        own.tenant = tenant
        return own.stream
    }

    /// The stream of these labels and this tenant, which is empty for that of the configuration.
    mutating func stream(_ labels: [UInt8], tenant: [UInt8]) -> Int {
        var tenantIndex = 0
        if let known = tenantIndices[tenant] {
            tenantIndex = known
        } else {
            tenantIndex = tenants.count
            tenantIndices[tenant] = tenantIndex
            tenants.append(tenant)
        }
        let key = StreamKey(tenant: tenantIndex, labels: labels)
        if let index = streamIndices[key] { return index }
        streamIndices[key] = streams.count
        streams.append(Stream(labels: labels, tenant: tenantIndex))
        headBytes += labels.count + Self.frameBytesMax
        return streams.count - 1
    }

    // MARK: - Compression

    /// Compresses a push that lies in memory.
    mutating func compress(_ bytes: UnsafeRawBufferPointer) -> ByteBuffer {
        compressed.clear()
        // SAFETY: the bytes live for the call.
        _ = unsafe Snappy.compress(RawSpan(_unsafeBytes: bytes)) { minimum, fill in
            compressed.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
        }
        var body = ByteBuffer()
        body.reserveCapacity(compressed.readableBytes)
        body.writeImmutableBuffer(compressed)
        return body
    }
}

extension WireBytes {
    /// The content of a message field, of several the last; empty when there is none. When the first field is the
    /// one, as all senders write it, the others are not looked at.
    @inline(__always)
    func leadingMessage(_ number: UInt32) -> WireBytes {
        var found = WireBytes.none
        var isFirst = true
        for field in fields {
            if field.number == number, field.isBytes {
                found = field.bytes
                if isFirst { break }
            }
            isFirst = false
        }
        return found
    }
}
