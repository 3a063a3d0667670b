internal import Glibc
internal import Logging

/// Why the debug exporter's text did not get where the configuration says.
package enum DebugOutputError: Error, Equatable, CustomStringConvertible {
    case noPath
    case cannotOpen(path: String, errno: Int32)
    case cannotWrite(path: String, errno: Int32)

    package var description: String {
        switch self {
        case .noPath:
            "output_paths is empty; name stdout, stderr or a file"
        case .cannotOpen(let path, let code):
            "output_paths: cannot open \"\(path)\" for appending: \(Self.reason(code))"
        case .cannotWrite(let path, let code):
            "output_paths: cannot write to \"\(path)\": \(Self.reason(code))"
        }
    }

    private static func reason(_ code: Int32) -> String {
        // SAFETY: a known code's text is static, an unknown one's belongs to this thread; copied at once.
        let text = unsafe strerror(code).map { unsafe String(cString: $0) }
        return text.map { "\($0) (errno \(code))" } ?? "errno \(code)"
    }
}

/// Where the text goes: the gateway's log, or paths. One thread at a time writes.
enum DebugOutput: Sendable {
    case log(Logger)
    case paths(DebugPaths)

    /// Writes the one-line summary of a batch: `Traces {"resource spans": 1, "spans": 2}`.
    func write(summary title: String, _ counts: [(name: String, count: Int)]) throws(DebugOutputError) {
        switch self {
        case .log(let logger):
            var metadata: Logger.Metadata = [:]
            for (name, count) in counts { metadata[name] = .stringConvertible(count) }
            logger.info("\(title)", metadata: metadata)
        case .paths(let paths):
            let fields = counts.map { "\"\($0.name)\": \($0.count)" }.joined(separator: ", ")
            try paths.write(Array("\(title)\t{\(fields)}\n".utf8))
        }
    }

    /// Writes a part of a batch's text: lines, except where one line is larger than a part may be.
    func write(_ text: [UInt8]) throws(DebugOutputError) {
        switch self {
        case .log(let logger): logger.info("\(String(decoding: text, as: UTF8.self))")
        case .paths(let paths): try paths.write(text)
        }
    }

    /// Writes what stands between the texts of two batches.
    func writeEnd() throws(DebugOutputError) {
        if case .paths(let paths) = self { try paths.write([UInt8(ascii: "\n")]) }
    }
}

/// The open paths of `output_paths`. Closed when the last reference goes, so never under a write.
final class DebugPaths: Sendable {
    private struct Target {
        let path: String
        let descriptor: Int32
        let isOurs: Bool
    }

    private let targets: [Target]

    /// Opens `stdout`, `stderr` or files, which are made, for their owner only, when they are missing, and never cut.
    /// - Throws: `noPath`, `cannotOpen`.
    init(_ paths: [String]) throws(DebugOutputError) {
        guard !paths.isEmpty else { throw .noPath }
        var targets: [Target] = []
        for path in paths {
            switch path {
            case "stdout": targets.append(Target(path: path, descriptor: STDOUT_FILENO, isOurs: false))
            case "stderr": targets.append(Target(path: path, descriptor: STDERR_FILENO, isOurs: false))
            default:
                // SAFETY: the path is a C string for the call.
                let descriptor = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
                guard descriptor >= 0 else {
                    let code = errno
                    for target in targets where target.isOurs { close(target.descriptor) }
                    throw .cannotOpen(path: path, errno: code)
                }
                targets.append(Target(path: path, descriptor: descriptor, isOurs: true))
            }
        }
        self.targets = targets
    }

    deinit {
        for target in targets where target.isOurs { close(target.descriptor) }
    }

    /// Writes all bytes to every path, waiting where a path is slow.
    /// - Throws: `cannotWrite`, the first; the other paths were still tried.
    func write(_ bytes: [UInt8]) throws(DebugOutputError) {
        var failure: DebugOutputError?
        for target in targets {
            let code = Self.write(bytes, to: target.descriptor)
            if code != 0, failure == nil { failure = .cannotWrite(path: target.path, errno: code) }
        }
        if let failure { throw failure }
    }

    /// Writes all bytes, waiting where the descriptor is slow, also a non-blocking one.
    /// - Returns: 0, or the error's code.
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        var start = 0
        while start < bytes.count {
            // SAFETY: `start` is below the count, so the range is within the array, which outlives the call.
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(
                    descriptor, buffer.baseAddress.unsafelyUnwrapped + start, buffer.count - start)
            }
            if count >= 0 {
                start += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // Somebody made the terminal or pipe that we share non-blocking.
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                // SAFETY: one request, which outlives the call.
                if unsafe poll(&request, 1, -1) < 0, errno != EINTR { return errno }
            case let code: return code
            }
        }
        return 0
    }
}
