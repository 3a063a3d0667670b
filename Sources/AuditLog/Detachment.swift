package import Hashing
internal import OTLP

/// A statement, signed by the log's key, that its first entries were taken out on purpose. Without one, missing entries are
/// missing. With it and the kept tiles the rest is still proven.
package struct Detachment: Sendable, Equatable {
    package let origin: String
    /// The last entry that was taken out; all before it are, too.
    package let last: UInt64
    /// The root of the tree of these entries.
    package let root: Hash256
    /// SHA-256 of the last one, to which the next one is linked.
    package let entryHash: Hash256

    package init(origin: String, last: UInt64, root: Hash256, entryHash: Hash256) {
        self.origin = origin
        self.last = last
        self.root = root
        self.entryHash = entryHash
    }

    /// The text that is signed: four lines, the second of which is none of a checkpoint.
    package var text: String {
        "\(origin)\ndetached \(last)\n\(Base64.text(root.bytes))\n\(Base64.text(entryHash.bytes))\n"
    }

    /// Reads a note's text; nil when it is no such statement.
    package init?(text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 5, lines[4] == "", lines[1].hasPrefix("detached "),
            let last = UInt64(lines[1].dropFirst(9)), last > 0,
            let root = Base64.decode(Array(lines[2].utf8)).flatMap({ Hash256($0) }),
            let entryHash = Base64.decode(Array(lines[3].utf8)).flatMap({ Hash256($0) })
        else { return nil }
        self.init(origin: String(lines[0]), last: last, root: root, entryHash: entryHash)
    }
}

/// A signed statement as it is kept.
package struct StoredDetachment: Sendable, Equatable {
    /// See `Detachment.last`.
    package let last: UInt64
    /// When it was made, in nanoseconds of Unix time; not signed.
    package let time: UInt64
    /// The signed note, whole.
    package let note: String

    package init(last: UInt64, time: UInt64, note: String) {
        self.last = last
        self.time = time
        self.note = note
    }
}

/// A month of UTC.
package struct AuditMonth: Sendable, Equatable, CustomStringConvertible {
    package let year: Int
    /// From 1.
    package let month: Int

    /// Reads `2026-01`.
    package init?(text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].count == 4, parts[1].count == 2, let year = Int(parts[0]),
            let month = Int(parts[1]), 1970...2261 ~= year, 1...12 ~= month
        else { return nil }
        (self.year, self.month) = (year, month)
    }

    /// The first moment after it, in nanoseconds of Unix time.
    package var end: UInt64 {
        let next = month == 12 ? (year + 1, 1) : (year, month + 1)
        return RFC3339.nanoseconds("\(next.0)-\(Self.digits(next.1))-01T00:00:00Z") ?? .max
    }

    package var description: String { "\(year)-\(Self.digits(month))" }

    private static func digits(_ month: Int) -> String { month < 10 ? "0\(month)" : "\(month)" }
}

extension LogExport {
    /// Takes the entries that were recorded until the end of a month out of a log that is open for `detaching`: they are written as
    /// files, then the signed statement is kept, then they go.
    ///
    /// - Parameters:
    ///   - now: nanoseconds of Unix time.
    ///   - file: as for `tiles`; must have them on the disk when it returns.
    /// - Returns: the first and the last of them.
    package func detach(
        through month: AuditMonth, key: SigningKey, now: UInt64,
        file: (_ path: String, _ bytes: [UInt8]) throws -> Void
    ) throws -> ClosedRange<UInt64> {
        guard month.end <= now else { throw ExportError(description: "the month \(month) is not over") }
        guard key.verifier.name == origin,
            SignedNote(note: checkpoint.note)?.isSigned(by: key.verifier) == true
        else {
            throw ExportError(description: "the last checkpoint of \"\(origin)\" was signed by another key")
        }
        let last = try lastEntry(before: month.end)
        guard first <= last else {
            throw ExportError(description: "the log has no entries until the end of \(month)")
        }
        let covered = (last + 255) / 256 * 256
        guard covered <= checkpoint.size, last < size else {
            throw ExportError(
                description:
                    "entry \(last), the last one of \(month), is not in a full tile under a checkpoint yet; wait until "
                    + "the log has 256 entries more")
        }
        try tiles(through: last, file: file)
        let detachment = Detachment(
            origin: origin, last: last, root: try root(size: last), entryHash: try row(last).entryHash)
        try store.detach(
            StoredDetachment(last: last, time: now, note: SignedNote(detachment.text, signedBy: [key]).note),
            through: month)
        return first...last
    }

    /// The last entry that was recorded before a time; the one before the first for none. Times never go back in a log.
    private func lastEntry(before time: UInt64) throws -> UInt64 {
        var (low, high) = (first - 1, size)
        while low < high {
            let middle = (low + high + 1) / 2
            if try row(middle).recorded < time { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
