package import Hashing
internal import OTLP

/// What a checkpoint says (C2SP tlog-checkpoint): the log's name, how many entries it has, and the root of their tree.
package struct Checkpoint: Sendable, Equatable {
    package let origin: String
    package let size: UInt64
    package let root: Hash256

    package init(origin: String, size: UInt64, root: Hash256) {
        self.origin = origin
        self.size = size
        self.root = root
    }

    /// The text that is signed: three lines.
    package var text: String { "\(origin)\n\(size)\n\(Base64.text(root.bytes))\n" }

    /// Reads a note's text; further lines are allowed and not looked at. Nil when it is no checkpoint.
    package init?(text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 4, lines.last == "", !lines.dropLast().contains(""), let size = UInt64(lines[1]),
            "\(size)" == lines[1], let bytes = Base64.decode(Array(lines[2].utf8)), let root = Hash256(bytes)
        else { return nil }
        self.init(origin: String(lines[0]), size: size, root: root)
    }
}
