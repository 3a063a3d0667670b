internal import CRE2

extension RegularExpression {
    /// Whether the pattern occurs in the text, bytes of UTF-8. Allocates nothing.
    package func occurs(in text: UnsafeBufferPointer<UInt8>) -> Bool {
        unsafe match(text, from: 0, whole: false, into: nil)
    }

    /// The text with every match replaced, from left to right, as Go's `ReplaceAll` does: an empty match directly
    /// behind another match is none. `change` has the last word about what a match becomes.
    package func replaceAll(
        _ text: [UInt8], with template: Template, change: ([UInt8]) -> [UInt8] = { $0 }
    ) -> [UInt8] {
        var result: [UInt8] = []
        var copied = 0
        forEachMatch(in: text) { ranges in
            guard let whole = ranges[0] else { return }
            result += text[copied..<whole.lowerBound]
            var expanded: [UInt8] = []
            for part in template.parts {
                switch part {
                case .text(let bytes): expanded += bytes
                case .group(let index): if let range = ranges[index] { expanded += text[range] }
                }
            }
            result += change(expanded)
            copied = whole.upperBound
        }
        return result + text[copied...]
    }

    /// The groups of the first match, the whole match first; nil for those that took no part. Empty: no match.
    package func firstMatch(in text: [UInt8]) -> [Range<Int>?] {
        var found: [Range<Int>?] = []
        _ = matchGroups(text, from: 0, into: &found)
        return found
    }

    /// The names of the groups, and their numbers.
    package var groupNames: [(name: String, group: Int)] {
        (1...max(1, groupCount)).prefix(groupCount).compactMap { index in
            unsafe cre2_group_name(raw, Int32(index)).map { (unsafe String(cString: $0), index) }
        }
    }

    private func forEachMatch(in text: [UInt8], _ body: ([Range<Int>?]) -> Void) {
        var position = 0
        var lastEnd = -1
        var ranges: [Range<Int>?] = []
        while position <= text.count, matchGroups(text, from: position, into: &ranges), let whole = ranges[0]
        {
            if !whole.isEmpty || whole.lowerBound != lastEnd { body(ranges) }
            lastEnd = whole.upperBound
            position = whole.upperBound
            if whole.isEmpty {
                // The next character begins behind the continuation bytes.
                position += 1
                while position < text.count, text[position] & 0xC0 == 0x80 { position += 1 }
            }
        }
    }

    private func matchGroups(_ text: [UInt8], from: Int, into groups: inout [Range<Int>?]) -> Bool {
        unsafe text.withUnsafeBufferPointer { bytes in
            unsafe withUnsafeTemporaryAllocation(of: cre2_range.self, capacity: groupCount + 1) { ranges in
                unsafe ranges.initialize(repeating: cre2_range(start: -1, count: 0))
                guard unsafe match(bytes, from: from, whole: false, into: ranges) else { return false }
                groups = unsafe ranges.map { range in
                    range.start < 0 ? nil : range.start..<range.start + range.count
                }
                return true
            }
        }
    }
}
