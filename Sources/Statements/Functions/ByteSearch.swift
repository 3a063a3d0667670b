/// Searching bytes for a sequence. What a client sends may be searched for something that it sends, too: a search that compares
/// the whole sequence at each place would take as long as both are, multiplied.
extension UnsafeRawBufferPointer {
    /// Where a sequence, not empty, stands next.
    func firstRange(of other: UnsafeRawBufferPointer, from start: Int) -> Int? {
        let wanted = other.count
        guard count - start >= wanted else { return nil }
        // A short one may be compared anew at each place.
        guard wanted > 16 else { return unsafe shortRange(of: other, from: start) }
        // Knuth, Morris and Pratt: how much of the sequence's beginning stands at the end of each part of it.
        var beginnings = [Int32](repeating: 0, count: wanted)
        var matched = 0
        for index in 1..<wanted {
            let byte = unsafe other[index]
            while unsafe matched > 0 && byte != other[matched] { matched = Int(beginnings[matched - 1]) }
            if unsafe byte == other[matched] { matched += 1 }
            beginnings[index] = Int32(truncatingIfNeeded: matched)
        }
        matched = 0
        for index in start..<count {
            let byte = unsafe self[index]
            while unsafe matched > 0 && byte != other[matched] { matched = Int(beginnings[matched - 1]) }
            if unsafe byte == other[matched] { matched += 1 }
            if matched == wanted { return index + 1 - matched }
        }
        return nil
    }

    private func shortRange(of other: UnsafeRawBufferPointer, from start: Int) -> Int? {
        let wanted = other.count
        guard wanted > 0 else { return nil }
        let first = unsafe other[0]
        for index in start...count - wanted where unsafe self[index] == first {
            var same = 1
            while unsafe same < wanted && self[index + same] == other[same] { same += 1 }
            if same == wanted { return index }
        }
        return nil
    }

    /// How often a byte stands there.
    func count(_ wanted: UInt8) -> Int {
        var total = 0
        for index in 0..<count where unsafe self[index] == wanted { total &+= 1 }
        return total
    }
}

extension [UInt8] {
    mutating func append(_ bytes: Bytes) {
        unsafe bytes.read { unsafe self.append(contentsOf: $0) }
    }

    /// At every place where a delimiter, not empty, stands.
    func split(by delimiter: [UInt8]) -> [[UInt8]] {
        var parts: [[UInt8]] = []
        forEachPart(by: delimiter) { parts.append(Array(self[$0])) }
        return parts
    }

    /// How many parts `split` gives.
    func partCount(by delimiter: [UInt8]) -> Int {
        var count = 0
        forEachPart(by: delimiter) { _ in count += 1 }
        return count
    }

    /// The parts between the places where a delimiter, not empty, stands.
    func forEachPart(by delimiter: [UInt8], _ body: (Range<Int>) -> Void) {
        unsafe withUnsafeBytes { text in
            unsafe delimiter.withUnsafeBytes { delimiter in
                var start = 0
                while let found = unsafe text.firstRange(of: delimiter, from: start) {
                    body(start..<found)
                    start = found + delimiter.count
                }
                body(start..<text.count)
            }
        }
    }

    /// Where a sequence, not empty, stands next.
    func firstRange(of other: [UInt8], from start: Int) -> Int? {
        unsafe withUnsafeBytes { text in
            unsafe other.withUnsafeBytes { unsafe text.firstRange(of: $0, from: start) }
        }
    }
}
