/// A decoder of a format that is frames back to back, such as zstd and lz4: called with the rest of the input and room for
/// output until both say that the last frame is whole.
protocol FrameDecoder: AnyObject {
    /// Decodes until the room is full, the input used up, a frame ended, or something is wrong.
    /// - Parameter limitBytes: what may still come. Room beyond it is used for one byte, which shows that there is more and
    ///   never counts as initialized.
    func decode(
        _ input: borrowing RawSpan, from start: Int, into output: inout OutputRawSpan, limitBytes: Int
    ) -> FrameStep
}

/// What one call of a decoder did.
struct FrameStep {
    /// What is wrong with the input, if something is.
    var damage: InflateError.Damage?
    /// The frame is complete and all of it is written.
    var isFrameEnd = false
    var inputBytes = 0
    /// One more than the limit when there is more than that.
    var outputBytes = 0
    /// Whether the room ended before the data did.
    var isFull = false
}

private let nextRoomBytes = 64 << 10

extension FrameDecoder {
    /// Inflates `input`, all of it, and appends at most `limitBytes` bytes to the caller's buffer, calling `append` as often
    /// as room runs out.
    ///
    /// - Parameter firstRoom: bytes of the first room.
    /// - Returns: the number of bytes appended.
    /// - Throws: `.tooLarge` when there is more than the limit, else `.corrupt` when anything is wrong: the last frame must be
    ///   whole.
    func inflateFrames(
        _ input: borrowing RawSpan, limitBytes: Int, firstRoom: Int, appending append: AppendingRoom
    ) throws(InflateError) -> Int {
        var progress = FrameProgress()
        var room = firstRoom
        while try !progress.step(self, input, limitBytes: limitBytes, room: room, appending: append) {
            room = max(nextRoomBytes, progress.produced)
        }
        return progress.produced
    }
}

/// How far a body is decoded.
struct FrameProgress {
    /// Bytes of the input.
    private(set) var consumed = 0
    /// Bytes of the output.
    private(set) var produced = 0

    /// Calls the decoder once.
    /// - Parameters:
    ///   - limitBytes: of all output.
    ///   - room: what is asked for, bytes.
    /// - Returns: whether the last frame ended with the input.
    mutating func step(
        _ decoder: any FrameDecoder, _ input: borrowing RawSpan, limitBytes: Int, room: Int,
        appending append: AppendingRoom
    ) throws(InflateError) -> Bool {
        // A byte more than the limit, to see whether there is more.
        let left = limitBytes - produced
        let wanted = min(room, left + 1)
        let start = consumed
        var step = FrameStep()
        append(wanted) { output in
            precondition(output.freeCapacity >= wanted, "Less room than asked for")
            step = decoder.decode(input, from: start, into: &output, limitBytes: left)
        }
        consumed += step.inputBytes
        produced += step.outputBytes
        if let damage = step.damage { throw .corrupt(damage) }
        guard produced <= limitBytes else { throw .tooLarge(limitBytes: limitBytes) }
        guard consumed == input.byteCount else { return false }
        if step.isFrameEnd { return true }
        guard step.isFull else { throw .corrupt(.damaged) }
        return false
    }
}
