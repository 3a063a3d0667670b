internal import NIOCore
package import OTLP

extension Batch {
    /// This batch as one batch for each of several destinations, nil for those that get nothing.
    ///
    /// A slice that goes one way is passed on; of one that is divided every part is written anew into a payload of its
    /// own. Who waits for a slice waits for all its parts, which may be thrown away while none is settled. A slice whose parts would
    /// together take several times its bytes, because most of it is envelope, goes whole to the first that has a part:
    /// what was sent once must not come to be in memory as often as there are destinations.
    ///
    /// - Parameters:
    ///   - router: made for this signal and as many destinations.
    ///   - destination: as in `RequestRouter.route`.
    package func divided(
        by router: inout RequestRouter, among destinations: Int, destination: (UInt64) -> Int
    ) -> [Batch?] {
        var parts = [Batch?](repeating: nil, count: destinations)
        func add(_ slice: Slice, to index: Int) {
            if parts[index] == nil { parts[index] = Batch(signal) }
            parts[index]?.append(slice)
        }
        for slice in slices {
            var pieces: [(index: Int, payload: Payload, items: Int)] = []
            var bytesLeft = 4 * slice.count + Self.dividedBytesSlack
            let whole = unsafe slice.bytes.withUnsafeReadableBytes { bytes -> Int? in
                if let whole = unsafe router.route(bytes, destination: destination) { return whole }
                for index in 0..<destinations {
                    let size = router.measure(index)
                    guard size.items > 0 else { continue }
                    bytesLeft -= size.bytes
                    guard bytesLeft >= 0 else { return pieces.first?.index ?? index }
                    var buffer = ByteBuffer()
                    buffer.reserveCapacity(size.bytes)
                    // SAFETY: the target is as large as was measured, and the source is what was walked.
                    _ = unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size.bytes) {
                        target in
                        unsafe router.write(
                            index, of: bytes,
                            to: UnsafeMutableRawBufferPointer(rebasing: target[..<size.bytes]))
                        return size.bytes
                    }
                    let payload = Payload(buffer, ledger: slice.payload.ledger)
                    payload.metadata = slice.payload.metadata
                    payload.client = slice.payload.client
                    pieces.append((index, payload, size.items))
                }
                return nil
            }
            if let whole {
                add(slice, to: whole)
            } else {
                let acknowledgement = slice.acknowledgement.map {
                    Acknowledgement(.parts, shares: pieces.count, below: $0)
                }
                for (index, payload, items) in pieces {
                    let count = payload.bytes.readableBytes
                    add(
                        Slice(
                            payload, offset: 0, count: count, items: items, acknowledgement: acknowledgement),
                        to: index)
                }
            }
        }
        return parts
    }

    /// What the parts of any slice may take beyond four times its bytes.
    private static var dividedBytesSlack: Int { 4 << 20 }
}
