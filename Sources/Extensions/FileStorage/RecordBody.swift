internal import Compression
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What one record of a batch holds, before it has a place.
struct RecordBody: Sendable {
    let signal: Signal
    let encoding: RecordHeader.Encoding
    let items: Int
    let requestBytes: Int
    /// The client's metadata as it is written; empty for none.
    let metadata: ByteBuffer
    /// The request, or its gzip members: in order, by reference.
    let content: [ByteBuffer]
    let contentBytes: Int

    /// A header without place and checksum.
    func header(id: UInt64, segment: UInt64) -> RecordHeader {
        var header = RecordHeader(
            kind: .batch, signal: signal, segment: segment, id: id, items: items, contentBytes: contentBytes)
        header.encoding = encoding
        header.metadataBytes = metadata.readableBytes
        header.requestBytes = requestBytes
        return header
    }

    /// The batches of one client and one encoding that a batch consists of, in order, each with its body.
    static func parts(of batch: Batch) -> [(body: RecordBody, batch: Batch)] {
        let slices = batch.slices
        let isOne = slices.allSatisfy { isSame($0, slices[0]) }
        if isOne, !slices.isEmpty {
            return [(RecordBody(batch.signal, slices), batch.unacknowledged())]
        }
        var runs: [ContiguousArray<Slice>] = []
        for slice in slices {
            if let last = runs.last, isSame(slice, last[0]) {
                runs[runs.count - 1].append(slice)
            } else {
                runs.append([slice])
            }
        }
        return runs.map { slices in
            let part = Batch(batch.signal, reservingSlices: slices.count)
            for slice in slices { part.append(slice.acknowledged(by: nil)) }
            return (RecordBody(batch.signal, slices), part)
        }
    }

    private static func isSame(_ one: Slice, _ other: Slice) -> Bool {
        (one.gzipMembers == nil) == (other.gzipMembers == nil)
            && one.payload.metadata == other.payload.metadata
    }

    private init(_ signal: Signal, _ slices: ContiguousArray<Slice>) {
        self.signal = signal
        encoding = slices[0].gzipMembers == nil ? .plain : .gzip
        metadata = Self.encode(slices[0].payload.metadata)
        var (items, requestBytes, contentBytes) = (0, 0, 0)
        content = slices.map { slice in
            let bytes = slice.gzipMembers ?? slice.bytes
            items += slice.items
            requestBytes += slice.count
            contentBytes += bytes.readableBytes
            return bytes
        }
        self.items = items
        self.requestBytes = requestBytes
        self.contentBytes = contentBytes
    }

    /// Count, then each name and value behind its length; 4-byte numbers.
    private static func encode(_ metadata: ClientMetadata?) -> ByteBuffer {
        var buffer = ByteBuffer()
        guard let metadata else { return buffer }
        buffer.writeInteger(UInt32(metadata.fields.count), endianness: .little)
        for field in metadata.fields {
            for text in [field.name, field.value] {
                buffer.writeInteger(UInt32(text.utf8.count), endianness: .little)
                buffer.writeString(text)
            }
        }
        return buffer
    }

    /// nil for no metadata, and for bytes that are none.
    static func decode(_ buffer: ByteBuffer) -> ClientMetadata? {
        var buffer = buffer
        guard let count: UInt32 = buffer.readInteger(endianness: .little) else { return nil }
        var fields: [ClientMetadata.Field] = []
        func text() -> String? {
            guard let length: UInt32 = buffer.readInteger(endianness: .little) else { return nil }
            return buffer.readString(length: Int(length))
        }
        for _ in 0..<count {
            guard let name = text(), let value = text() else { return nil }
            fields.append(ClientMetadata.Field(name, value))
        }
        return ClientMetadata(fields)
    }

    /// The batch that a record holds; nil when its content is not what the header says.
    /// - Parameter body: metadata and content.
    static func batch(_ header: RecordHeader, _ body: ByteBuffer, ledger: MemoryLedger?) -> Batch? {
        var content = body
        guard let metadata = content.readSlice(length: header.metadataBytes) else { return nil }
        let payload: Payload
        switch header.encoding {
        case .plain:
            payload = Payload(content, ledger: ledger)
        case .gzip:
            guard let request = inflate(content, bytes: header.requestBytes) else { return nil }
            payload = Payload(request, ledger: ledger)
            payload.gzipMembers = Payload(content, ledger: ledger)
        }
        payload.metadata = decode(metadata)
        return Batch(header.signal, payload: payload, items: header.items)
    }

    private static func inflate(_ content: ByteBuffer, bytes: Int) -> ByteBuffer? {
        var request = ByteBuffer()
        request.reserveCapacity(bytes)
        let count = unsafe content.withUnsafeReadableBytes { members -> Int? in
            do throws(InflateError) {
                return try Gunzipper().inflate(unsafe RawSpan(_unsafeBytes: members), limitBytes: bytes) {
                    minimum, fill in
                    request.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
                }
            } catch {
                return nil
            }
        }
        return count == bytes ? request : nil
    }
}
