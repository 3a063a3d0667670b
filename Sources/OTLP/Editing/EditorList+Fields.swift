internal import COTLP

/// How a message becomes a row.
extension EditorList where Element == RequestEditor.Entry {
    /// Adds an entry for each field of a message, which ends at the first that is malformed.
    /// - Parameter positions: sixteen bytes, which become `LastPositions`.
    @unsafe
    @inline(never)
    func appendFields(of message: WireBytes, _ positions: UnsafeMutableRawPointer) {
        unsafe positions.storeBytes(of: LastPositions(repeating: LastPositions.none), as: LastPositions.self)
        let last = unsafe positions.assumingMemoryBound(to: UInt8.self)
        let bytes = unsafe message.bytePointer
        var (start, position) = (0, 0)
        repeat {
            unsafe append(atLeast: 32) { room in
                guard let base = room.baseAddress else { return 0 }
                // SAFETY: the C function reads inside of the message, and writes at most as many as there is room for.
                let added = unsafe cotlp_fields(
                    bytes, message.count, &start, base, room.count, position, last)
                position += added
                return added
            }
        } while start < message.count
    }
}
