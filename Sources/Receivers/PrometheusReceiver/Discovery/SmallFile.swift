internal import Glibc

/// Reads files whole. Blocks: not for event loops.
enum SmallFile {
    /// The file's bytes; nil when it cannot be read or is larger.
    static func read(_ path: String, bytesMax: Int) -> [UInt8]? {
        // SAFETY: the path is a C string for the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            // SAFETY: the kernel writes at most the chunk's count.
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.read(file, $0.baseAddress, $0.count)
            }
            if count == 0 { return bytes }
            if count < 0 {
                guard errno == EINTR else { return nil }
                continue
            }
            guard bytes.count + count <= bytesMax else { return nil }
            bytes += chunk[..<count]
        }
    }
}
