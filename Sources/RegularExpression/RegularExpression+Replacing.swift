internal import CRE2

extension RegularExpression {
    /// Whether the pattern occurs in the text, bytes of UTF-8. Allocates nothing.
    package func occurs(in text: UnsafeBufferPointer<UInt8>) -> Bool {
        unsafe match(text, from: 0, whole: false, into: nil)
    }

    /// The text, bytes of UTF-8, with every match replaced, from left to right, as Go's `ReplaceAll` does: an empty match
    /// directly behind another match is none. Nil when there is no match; allocates nothing then.
    /// - Parameter change: has the last word about what a match becomes.
    package func replaceAll(
        _ text: UnsafeBufferPointer<UInt8>, with template: Template, limit: Int = .max,
        change: (([UInt8]) -> [UInt8])? = nil
    ) throws(TooSlow) -> [UInt8]? {
        let room = TextRoom()
        defer { room.deallocate() }
        let isChanged = try unsafe replaceAll(text, with: template, into: room, limit: limit, change: change)
        return isChanged ? unsafe Array(room.bytes) : nil
    }

    /// The same into memory that is used again; false, and nothing written, when there is no match.
    /// - Parameter limit: the result ends, and is not whole, once it is longer.
    /// - Throws: it would take much more time than reading the text a few times.
    package func replaceAll(
        _ text: UnsafeBufferPointer<UInt8>, with template: Template, into room: TextRoom, limit: Int = .max,
        change: (([UInt8]) -> [UInt8])? = nil
    ) throws(TooSlow) -> Bool {
        var effort = SearchEffort(textBytes: text.count)
        var isTooSlow = false
        let isFound = unsafe withUnsafeTemporaryAllocation(
            of: cre2_range.self, capacity: template.groupCount + 1
        ) {
            ranges in
            // RE2 takes much less time when no groups are wanted.
            unsafe ranges.initialize(repeating: cre2_range(start: -1, count: 0))
            var (position, lastEnd, copied) = (0, -1, 0)
            var isFound = false
            // RE2 gives ranges inside of the text, the matches from left to right.
            while unsafe position <= text.count && match(text, from: position, whole: false, into: ranges) {
                guard effort.allows(text.count - position) else {
                    isTooSlow = true
                    return false
                }
                let whole = unsafe ranges[0]
                position = whole.start + whole.count
                if whole.count > 0 || whole.start != lastEnd {
                    if !isFound { room.removeAll() }
                    isFound = true
                    if room.count <= limit {
                        unsafe room.append(text, copied..<whole.start)
                        if let change {
                            let expanded = unsafe template.expanded(
                                UnsafeBufferPointer(ranges), of: text, limit: limit)
                            room.append(
                                expanded.count <= limit ? effort.without { change(expanded) } : expanded)
                        } else {
                            unsafe template.expand(
                                UnsafeBufferPointer(ranges), of: text, into: room, limit: limit)
                        }
                        copied = position
                    }
                }
                lastEnd = position
                if whole.count == 0 {
                    // The next character begins behind the continuation bytes.
                    position += 1
                    while unsafe position < text.count && text[position] & 0xC0 == 0x80 { position += 1 }
                }
            }
            if isFound { unsafe room.append(text, copied..<text.count) }
            return isFound
        }
        if isTooSlow { throw TooSlow(pattern: pattern, textBytes: text.count) }
        return isFound
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
