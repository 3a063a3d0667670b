/// The candidate that a mistyped word most likely meant, or nil when none is near.
///
/// Near: equal but for case and `-`/`_`, or at most a third of the letters (and at least one) changed, added,
/// removed or swapped with the neighbour. The first of equally near candidates wins.
package func nearest(_ word: String, in candidates: [String]) -> String? {
    let wanted = folded(word)
    guard !wanted.isEmpty, wanted.count <= 128 else { return nil }
    var best: (candidate: String, distance: Int)?
    for candidate in candidates where candidate.utf8.count <= 128 {
        let other = folded(candidate)
        let limit = max(1, max(wanted.count, other.count) / 3)
        guard abs(wanted.count - other.count) <= limit else { continue }
        let distance = editDistance(wanted, other)
        guard distance <= limit, distance < max(wanted.count, other.count) else { continue }
        if best.map({ distance < $0.distance }) ?? true { best = (candidate, distance) }
    }
    return best?.candidate
}

private func folded(_ word: String) -> [UInt8] {
    word.utf8.map { byte in
        if byte == UInt8(ascii: "-") { return UInt8(ascii: "_") }
        return byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}

/// Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours.
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for (row, leftByte) in left.enumerated() {
        var current = [row + 1]
        current.reserveCapacity(right.count + 1)
        for (column, rightByte) in right.enumerated() {
            var cost = min(last[column + 1] + 1, current[column] + 1)
            cost = min(cost, last[column] + (leftByte == rightByte ? 0 : 1))
            if row > 0, column > 0, leftByte == right[column - 1], left[row - 1] == rightByte {
                cost = min(cost, beforeLast[column - 1] + 1)
            }
            current.append(cost)
        }
        (beforeLast, last) = (last, current)
    }
    return last[right.count]
}

/// Words as a sentence lists them: `a`, `a or b`, `a, b or c`.
func alternatives(_ words: [String]) -> String {
    guard let last = words.last else { return "" }
    return words.count == 1 ? last : words.dropLast().joined(separator: ", ") + " or " + last
}
