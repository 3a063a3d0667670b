/// Follows the frames of a client's bytes (RFC 9113 §4.1) before nghttp2 sees them: what it passes over in silence counts,
/// too. Reads the heads of frames only.
struct HTTP2FrameScanner {
    /// What was found in some bytes.
    struct Findings: Equatable {
        /// Frames that carry next to nothing: all but DATA of at least `dataBytesMin` bytes.
        var lightFrames = 0
        /// A stream began with a number below another's, and was not open before (RFC 9113 §5.1.1).
        var streamWentBack = false
    }

    /// A DATA frame of so many bytes carries something.
    static let dataBytesMin = 64
    /// More ranges of numbers that were passed over are not remembered.
    private static let gapsMax = 16
    private static let headBytes = 9

    /// Bytes of the preface, or of a frame's payload, that are still to come.
    private var left = 24
    /// The head of a frame that came in parts.
    private var head: InlineArray<9, UInt8> = .init(repeating: 0)
    private var headCount = 0
    /// The highest number of a stream that has begun.
    private var lastStream: UInt32 = 0
    /// Numbers below it that were passed over. Clients that pass over numbers are few.
    private var gaps: [ClosedRange<UInt32>] = []

    /// Looks at the next bytes.
    mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Findings {
        var findings = Findings()
        var at = 0
        while at < bytes.count {
            if left > 0 {
                let skipped = min(left, bytes.count - at)
                left -= skipped
                at += skipped
            } else if headCount == 0, bytes.count - at >= Self.headBytes {
                // SAFETY: nine bytes are there.
                unsafe frame(
                    bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self).bigEndian, bytes[at + 4],
                    bytes.loadUnaligned(fromByteOffset: at + 5, as: UInt32.self).bigEndian, &findings)
                at += Self.headBytes
            } else {
                head[headCount] = unsafe bytes[at]
                headCount += 1
                at += 1
                if headCount == Self.headBytes { endHead(&findings) }
            }
        }
        return findings
    }

    private mutating func endHead(_ findings: inout Findings) {
        headCount = 0
        func word(_ at: Int) -> UInt32 {
            UInt32(head[at]) << 24 | UInt32(head[at + 1]) << 16 | UInt32(head[at + 2]) << 8
                | UInt32(head[at + 3])
        }
        frame(word(0), head[4], word(5), &findings)
    }

    /// - Parameter start: length and type.
    private mutating func frame(_ start: UInt32, _ flags: UInt8, _ stream: UInt32, _ findings: inout Findings)
    {
        left = Int(start >> 8)
        let type = start & 0xFF
        if type == 0, left >= Self.dataBytesMin { return }
        findings.lightFrames += 1
        if type == 1, !begins(stream & 0x7FFF_FFFF) { findings.streamWentBack = true }
    }

    /// Notes the stream of a HEADERS frame.
    /// - Returns: false when its number goes back.
    private mutating func begins(_ stream: UInt32) -> Bool {
        guard stream & 1 == 1 else { return true }
        if stream > lastStream {
            let next = lastStream == 0 ? 1 : lastStream + 2
            if stream > next, gaps.count < Self.gapsMax { gaps.append(next...stream - 2) }
            lastStream = stream
            return true
        }
        return !gaps.contains { $0.contains(stream) }
    }
}
