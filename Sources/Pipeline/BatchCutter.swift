internal import NIOCore
internal import OTLP

extension Batch {
    /// This batch as batches of at most so many items and bytes each, in order; itself when it fits.
    ///
    /// Slices that fit are passed on; one that straddles a limit is cut by writing its envelopes anew. The pieces of a
    /// cut slice are copied into payloads of their own, so that every slice stays a whole run of fields: one copy of
    /// one request a batch, about 0.1 ns a byte. Who waits for a slice waits for all its pieces. An item that is by itself
    /// larger than `maxBytes` comes alone, in a batch that says so; so does, whole, a slice whose pieces would together
    /// take several times its bytes, because most of it is envelope: a few kilobytes sent must not become gigabytes.
    ///
    /// - Parameters:
    ///   - maxItems: at least 1; `Int.max` for no limit.
    ///   - maxBytes: at least 1; `Int.max` for no limit.
    ///   - growth: how many times the bytes of a slice its pieces may take together, and 4 MiB.
    package func cut(maxItems: Int, maxBytes: Int = .max, growth: Int = 4) -> [Batch] {
        if items <= maxItems && bytes <= maxBytes { return [self] }
        var done: [Batch] = []
        var filling = Batch(signal)
        func close() {
            if filling.sliceCount > 0 { done.append(filling) }
            filling = Batch(signal)
        }
        for slice in slices {
            if filling.items + slice.items <= maxItems, filling.bytes + slice.count <= maxBytes {
                filling.append(slice)
                continue
            }
            // Bytes are the limit of a message, not a size to fill up: a slice that fits the next batch is not cut.
            if slice.items <= maxItems, slice.count <= maxBytes, filling.bytes + slice.count > maxBytes {
                close()
                filling.append(slice)
                continue
            }
            var pieces: [(Payload, items: Int)] = []
            var bytesLeft = growth * slice.count + Self.cutBytesSlack
            unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                var splitter = unsafe RequestSplitter(bytes, signal)
                var roomItems = maxItems - filling.items
                var roomBytes = maxBytes - filling.bytes
                if roomItems <= 0 || roomBytes <= 0 { (roomItems, roomBytes) = (maxItems, maxBytes) }
                while let piece = splitter.next(maxItems: roomItems, maxBytes: roomBytes) {
                    (roomItems, roomBytes) = (maxItems, maxBytes)
                    bytesLeft -= piece.bytes
                    guard bytesLeft >= 0 else { break }
                    let payload = unsafe Payload(piece, of: bytes, ledger: slice.payload.ledger)
                    payload.metadata = slice.payload.metadata
                    payload.client = slice.payload.client
                    pieces.append((payload, piece.items))
                }
            }
            if pieces.isEmpty || bytesLeft < 0 {
                // Or nothing but fields that no entry holds, more of them than a message may have: cannot be cut.
                close()
                filling.append(slice)
                close()
                continue
            }
            let parts = slice.acknowledgement.map { Acknowledgement(.parts, shares: pieces.count, below: $0) }
            for (payload, items) in pieces {
                let count = payload.bytes.readableBytes
                if filling.items + items > maxItems || filling.bytes + count > maxBytes { close() }
                filling.append(
                    Slice(payload, offset: 0, count: count, items: items, acknowledgement: parts))
            }
        }
        close()
        return done
    }

    /// What the pieces of any slice may take beyond a few times its bytes.
    private static let cutBytesSlack = 4 << 20
}

extension Payload {
    /// The bytes of a piece of a split request.
    fileprivate convenience init(
        _ piece: SplitPiece, of request: UnsafeRawBufferPointer, ledger: MemoryLedger?
    ) {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(piece.bytes)
        for segment in piece.segments {
            switch segment {
            case .original(let offset, let count):
                // SAFETY: the splitter gives ranges inside the request that it was made for.
                _ = unsafe buffer.writeBytes(
                    UnsafeRawBufferPointer(rebasing: request[offset..<(offset + count)]))
            case .bytes(let bytes):
                buffer.writeBytes(bytes)
            }
        }
        self.init(buffer, ledger: ledger)
    }
}
