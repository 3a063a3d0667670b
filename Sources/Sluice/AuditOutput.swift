import AuditLog
import Pipeline

#if canImport(Glibc)
    import Glibc
#endif

/// How far something is, on standard error, when that is a terminal. One thread.
final class ProgressLine {
    private let noun: String
    private let start = ContinuousClock.now
    private var shown: ContinuousClock.Instant?
    private let isTerminal = isatty(STDERR_FILENO) == 1

    init(_ noun: String) {
        self.noun = noun
    }

    /// Shows it, at most ten times a second.
    func show(_ done: UInt64, of all: UInt64) {
        let now = ContinuousClock.now
        guard isTerminal, now - (shown ?? start) > .milliseconds(100), all > 0 else { return }
        shown = now
        let filled = Int(done * 30 / all)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        writeError("\r[\(bar)] \(done * 100 / all)% \(done) of \(all) \(noun), \(rate(done))/s ")
    }

    /// Removes the line.
    func clear() {
        if shown != nil { writeError("\r\u{1b}[K") }
    }

    /// Whether it took long enough for a rate to mean something.
    var isSlow: Bool { ContinuousClock.now - start > .milliseconds(10) }

    /// Tenths are enough.
    var seconds: String {
        let tenths = (ContinuousClock.now - start) / .milliseconds(100)
        return "\(Double(Int(tenths)) / 10)"
    }

    /// So many a second.
    func rate(_ done: UInt64) -> Int {
        Int(Double(done) / max((ContinuousClock.now - start) / .seconds(1), 1e-9))
    }

    private func writeError(_ text: String) {
        let bytes = Array(text.utf8)
        // SAFETY: the bytes live through the call. A terminal that is gone does not matter.
        _ = unsafe bytes.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// An event as a line that people read.
enum EventLine {
    static func text(_ row: AuditRow) -> String {
        do throws(EntryError) {
            let event = try EntryColumns(row.entry)
            let time = UTCTime(unixNanoseconds: Int64(clamping: event.time)).rfc3339
            let target = event.targetID.map { " \(printable($0))" } ?? ""
            let decision = event.decision.map { ", \(printable($0))" } ?? ""
            return "\(row.sequence) \(time) \(printable(event.eventName)) \(printable(event.actorType)) "
                + "\(printable(event.actorID)): \(printable(event.action))\(target), \(event.outcome)\(decision) "
                + "(\(event.recordID))"
        } catch {
            return "\(row.sequence) \(error)"
        }
    }

    /// Without characters that a terminal obeys.
    private static func printable(_ text: String) -> String {
        var output = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: output.append("\u{FFFD}")
            default: output.append(scalar)
            }
        }
        return String(output)
    }
}

/// Files of an exported log.
enum TileFolder {
    /// Makes a folder that is not there.
    static func makeNew(_ folder: String) throws(ExportProblem) {
        // SAFETY: the path is a C string for the call.
        guard unsafe mkdir(folder, 0o755) == 0 else { throw ExportProblem("make", folder, errno) }
    }

    /// Writes a file, with the folders above it.
    /// - Parameter isSynced: waits for the disk.
    static func write(_ bytes: [UInt8], to path: String, isSynced: Bool = false) throws(ExportProblem) {
        for (index, byte) in path.utf8.enumerated() where byte == UInt8(ascii: "/") && index > 0 {
            let folder = String(decoding: path.utf8.prefix(index), as: UTF8.self)
            // SAFETY: the path is a C string for the call.
            if unsafe mkdir(folder, 0o755) != 0, errno != EEXIST {
                throw ExportProblem("make", folder, errno)
            }
        }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw ExportProblem("write", path, errno) }
        defer { _ = close(file) }
        var left = bytes[...]
        while !left.isEmpty {
            // SAFETY: the bytes live through the call.
            let count = unsafe left.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw ExportProblem("write", path, errno) }
            left = left.dropFirst(count)
        }
        if isSynced, fsync(file) != 0 { throw ExportProblem("write", path, errno) }
    }
}

/// Why a file could not be written.
struct ExportProblem: Error, CustomStringConvertible {
    let description: String

    init(_ verb: String, _ path: String, _ code: Int32) {
        description = "cannot \(verb) \(path): \(String(errno: code))"
    }
}
