/// The lines in which two texts differ.
enum TextDiff {
    /// Larger texts are compared without looking for the shortest difference.
    private static let cellsMax = 25_000_000
    private static let contextLines = 3

    private enum Line {
        case same(Substring)
        case removed(Substring)
        case added(Substring)
    }

    /// The difference as `diff -u` shows it, without a head; empty when the texts are equal.
    static func unified(_ old: String, _ new: String) -> String {
        guard old != new else { return "" }
        let lines = compare(
            old.split(separator: "\n", omittingEmptySubsequences: false),
            new.split(separator: "\n", omittingEmptySubsequences: false))
        var shown = Set<Int>()
        for (index, line) in lines.enumerated() {
            if case .same = line { continue }
            shown.formUnion(max(0, index - contextLines)...min(lines.count - 1, index + contextLines))
        }
        var text = ""
        var last = -1
        for index in shown.sorted() {
            if last >= 0, index > last + 1 { text += "  …\n" }
            last = index
            switch lines[index] {
            case .same(let line): text += "  \(line)\n"
            case .removed(let line): text += "- \(line)\n"
            case .added(let line): text += "+ \(line)\n"
            }
        }
        return text
    }

    private static func compare(_ old: [Substring], _ new: [Substring]) -> [Line] {
        var first = 0
        while first < min(old.count, new.count), old[first] == new[first] { first += 1 }
        var last = 0
        while last < min(old.count, new.count) - first, old[old.count - 1 - last] == new[new.count - 1 - last]
        {
            last += 1
        }
        let head = old[..<first].map { Line.same($0) }
        let tail = old[(old.count - last)...].map { Line.same($0) }
        return head + middle(Array(old[first..<old.count - last]), Array(new[first..<new.count - last]))
            + tail
    }

    /// By the longest common subsequence.
    private static func middle(_ old: [Substring], _ new: [Substring]) -> [Line] {
        guard (old.count + 1) * (new.count + 1) <= cellsMax else {
            return old.map { .removed($0) } + new.map { .added($0) }
        }
        let width = new.count + 1
        var lengths = [Int32](repeating: 0, count: (old.count + 1) * width)
        for row in old.indices.reversed() {
            for column in new.indices.reversed() {
                lengths[row * width + column] =
                    old[row] == new[column]
                    ? lengths[(row + 1) * width + column + 1] + 1
                    : max(lengths[(row + 1) * width + column], lengths[row * width + column + 1])
            }
        }
        var lines: [Line] = []
        var (row, column) = (0, 0)
        while row < old.count, column < new.count {
            if old[row] == new[column] {
                lines.append(.same(old[row]))
                (row, column) = (row + 1, column + 1)
            } else if lengths[(row + 1) * width + column] >= lengths[row * width + column + 1] {
                lines.append(.removed(old[row]))
                row += 1
            } else {
                lines.append(.added(new[column]))
                column += 1
            }
        }
        return lines + old[row...].map { .removed($0) } + new[column...].map { .added($0) }
    }
}

/// JSON with a line for each entry.
enum PrettyJSON {
    static func text(_ json: [UInt8]) -> String {
        var output: [UInt8] = []
        var depth = 0
        var index = 0
        func newline() {
            output.append(10)
            output += repeatElement(0x20, count: depth * 2)
        }
        while index < json.count {
            let byte = json[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\""):
                output.append(byte)
                while index < json.count, json[index] != UInt8(ascii: "\"") {
                    if json[index] == UInt8(ascii: "\\"), index + 1 < json.count {
                        output.append(json[index])
                        index += 1
                    }
                    output.append(json[index])
                    index += 1
                }
                output.append(byte)
                index += 1
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                output.append(byte)
                if index < json.count, json[index] == UInt8(ascii: "}") || json[index] == UInt8(ascii: "]") {
                    output.append(json[index])
                    index += 1
                } else {
                    depth += 1
                    newline()
                }
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                newline()
                output.append(byte)
            case UInt8(ascii: ","):
                output.append(byte)
                newline()
            case UInt8(ascii: ":"): output += [byte, 0x20]
            default: output.append(byte)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
