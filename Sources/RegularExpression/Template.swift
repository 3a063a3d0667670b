internal import CRE2

extension RegularExpression {
    /// What replaces a match: text with `$1`, `${1}`, `$name`, `${name}` for groups and `$$` for a dollar sign.
    ///
    /// A name without braces is as long as letters, digits and underscores go: `$1x` is the group `1x`. Groups that do
    /// not exist are empty, and so is a match's group that took no part; a `$` that begins neither stays.
    @safe
    package final class Template: Sendable, Equatable {
        enum Part: Sendable, Equatable {
            case text([UInt8])
            case group(Int)
        }

        private struct Piece {
            /// In `texts`.
            var range = 0..<0
            /// -1: it is a text.
            var group = -1
        }

        let parts: [Part]
        // SAFETY: written before it is shared, never changed, freed in deinit.
        /// The parts as plain values, behind which no references are counted.
        private nonisolated(unsafe) let pieces: UnsafeMutableBufferPointer<Piece>
        // SAFETY: as above.
        /// The texts of all parts.
        private nonisolated(unsafe) let texts: UnsafeMutableBufferPointer<UInt8>
        /// The only text it ever gives, if it names no group.
        package let constant: String?
        /// The highest number of a group that it names; 0 for none.
        let groupCount: Int

        /// Reads a template for the groups of one expression.
        package init(_ text: String, for expression: RegularExpression) {
            var parts: [Part] = []
            var literal: [UInt8] = []
            var rest = Array(text.utf8)[...]
            while let byte = rest.popFirst() {
                guard byte == UInt8(ascii: "$") else {
                    literal.append(byte)
                    continue
                }
                if rest.first == UInt8(ascii: "$") {
                    literal.append(byte)
                    rest = rest.dropFirst()
                    continue
                }
                guard let name = Self.name(&rest) else {
                    literal.append(byte)
                    continue
                }
                guard let group = Self.group(name, expression) else { continue }
                if !literal.isEmpty { parts.append(.text(literal)) }
                literal = []
                parts.append(.group(group))
            }
            if !literal.isEmpty { parts.append(.text(literal)) }
            self.parts = parts
            var texts: [UInt8] = []
            let pieces = parts.map { part in
                switch part {
                case .group(let group): return Piece(group: group)
                case .text(let bytes):
                    texts += bytes
                    return Piece(range: texts.count - bytes.count..<texts.count)
                }
            }
            unsafe self.pieces = .allocate(capacity: pieces.count)
            _ = unsafe self.pieces.initialize(from: pieces)
            unsafe self.texts = .allocate(capacity: texts.count)
            _ = unsafe self.texts.initialize(from: texts)
            groupCount = parts.reduce(0) { highest, part in
                if case .group(let group) = part { max(highest, group) } else { highest }
            }
            if parts.isEmpty {
                constant = ""
            } else if parts.count == 1, case .text(let bytes) = parts[0] {
                constant = String(decoding: bytes, as: UTF8.self)
            } else {
                constant = nil
            }
        }

        deinit {
            unsafe pieces.deallocate()
            unsafe texts.deallocate()
        }

        /// Appends what it makes of a match: the ranges of its groups in the text, `groupCount` and the whole match first.
        /// - Parameter limit: the result ends, and is not whole, once it is longer.
        func expand(
            _ ranges: UnsafeBufferPointer<cre2_range>, of text: UnsafeBufferPointer<UInt8>,
            into room: TextRoom, limit: Int = .max
        ) {
            for index in unsafe 0..<pieces.count {
                guard room.count <= limit else { return }
                let piece = unsafe pieces[index]
                guard piece.group >= 0 else {
                    unsafe room.append(UnsafeBufferPointer(texts), piece.range)
                    continue
                }
                let range = unsafe ranges[piece.group]
                if range.start >= 0 { unsafe room.append(text, range.start..<range.start + range.count) }
            }
        }

        /// What it makes of a match; see `expand`.
        func expanded(
            _ ranges: UnsafeBufferPointer<cre2_range>, of text: UnsafeBufferPointer<UInt8>, limit: Int = .max
        ) -> [UInt8] {
            let room = TextRoom()
            defer { room.deallocate() }
            unsafe expand(ranges, of: text, into: room, limit: limit)
            return unsafe Array(room.bytes)
        }

        /// Takes a name, with or without braces, off the front; nil, and nothing taken, when there is none.
        private static func name(_ rest: inout ArraySlice<UInt8>) -> String? {
            let isBraced = rest.first == UInt8(ascii: "{")
            let name = (isBraced ? rest.dropFirst() : rest).prefix(while: isWordByte)
            guard !name.isEmpty else { return nil }
            let after = rest[name.endIndex...]
            if isBraced {
                guard after.first == UInt8(ascii: "}") else { return nil }
                rest = after.dropFirst()
            } else {
                rest = after
            }
            return String(decoding: name, as: UTF8.self)
        }

        private static func group(_ name: String, _ expression: RegularExpression) -> Int? {
            if let number = Int(name) {
                return number <= expression.groupCount ? number : nil
            }
            return expression.group(named: name)
        }

        /// Equal templates make the same of a match.
        package static func == (left: Template, right: Template) -> Bool { left.parts == right.parts }

        private static func isWordByte(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }
}
