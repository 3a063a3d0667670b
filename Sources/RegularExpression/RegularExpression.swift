internal import CRE2

/// Why a text is not a valid regular expression.
package struct RegularExpressionError: Error, Sendable, Equatable, CustomStringConvertible {
    /// For example `missing closing ): (a`.
    package let description: String
}

/// A regular expression in RE2's syntax: matching takes time linear in the text, whatever the pattern.
///
/// Any thread. Texts are UTF-8; offsets are bytes. A pattern and what it caches hold `memoryBytesMax` at most.
@safe
package final class RegularExpression: Sendable {
    private static let memoryBytesMax: Int64 = 4 << 20

    // SAFETY: owned, never handed out, freed in deinit; RE2 locks what it caches, so that any thread may match.
    nonisolated(unsafe) let raw: OpaquePointer
    // SAFETY: as above, never changed.
    private nonisolated(unsafe) let literal: Literal?
    // SAFETY: as above.
    private nonisolated(unsafe) let plain: PlainPattern?
    /// The text that was compiled.
    package let pattern: String
    /// Groups in parentheses.
    package let groupCount: Int

    /// Compiles a pattern. `.` matches line feeds, too, unless told otherwise.
    /// - Throws: the text is no pattern, or needs too much memory.
    package init(_ pattern: String, dotMatchesLineFeed: Bool = true) throws(RegularExpressionError) {
        var text = Self.withNamedGroups(pattern)
        let created = text.withUTF8 { utf8 in
            unsafe utf8.withMemoryRebound(to: CChar.self) { bytes in
                // SAFETY: RE2 copies the bytes during the call.
                unsafe cre2_new(bytes.baseAddress, bytes.count, dotMatchesLineFeed, Self.memoryBytesMax)
            }
        }
        guard let raw = unsafe created else { throw RegularExpressionError(description: "out of memory") }
        if let message = unsafe cre2_error(raw) {
            let description = unsafe String(cString: message)
            unsafe cre2_delete(raw)
            throw RegularExpressionError(description: description)
        }
        unsafe self.raw = raw
        self.pattern = pattern
        let literal = Literal(pattern)
        unsafe self.literal = literal
        unsafe plain = literal?.isAll == true ? nil : PlainPattern(pattern)
        groupCount = unsafe Int(cre2_group_count(raw))
    }

    /// `(?<name>…)`, which Go and newer releases of RE2 take, as `(?P<name>…)`, which all do.
    private static func withNamedGroups(_ pattern: String) -> String {
        guard pattern.utf8.contains(UInt8(ascii: "<")) else { return pattern }
        var result: [UInt8] = []
        var rest = Array(pattern.utf8)[...]
        var isInSet = false
        while let byte = rest.popFirst() {
            result.append(byte)
            switch byte {
            case UInt8(ascii: "\\"): if let escaped = rest.popFirst() { result.append(escaped) }
            case UInt8(ascii: "["): isInSet = true
            case UInt8(ascii: "]"): isInSet = false
            case UInt8(ascii: "("):
                guard !isInSet, rest.starts(with: "?<".utf8), let next = rest.dropFirst(2).first,
                    next != UInt8(ascii: "="), next != UInt8(ascii: "!")
                else { continue }
                result += "?P<".utf8
                rest = rest.dropFirst(2)
            default: break
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    deinit {
        unsafe cre2_delete(raw)
        unsafe literal?.deallocate()
        unsafe plain?.deallocate()
    }

    /// The number of the group of a name; nil when there is none.
    package func group(named name: String) -> Int? {
        var name = name
        let found = name.withUTF8 { utf8 in
            unsafe utf8.withMemoryRebound(to: CChar.self) { bytes in
                // SAFETY: a buffer without an address is empty, and no group has an empty name.
                bytes.isEmpty
                    ? -1 : unsafe cre2_group_named(raw, bytes.baseAddress.unsafelyUnwrapped, bytes.count)
            }
        }
        return found < 0 ? nil : Int(found)
    }

    /// Whether the whole text matches.
    package func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { utf8 in
            unsafe match(utf8, from: 0, whole: true, into: nil)
        }
    }

    /// Whether the whole text, bytes of UTF-8, matches. Allocates nothing.
    package func matches(_ text: Span<UInt8>) -> Bool {
        // SAFETY: the bytes are borrowed for the call.
        unsafe text.withUnsafeBufferPointer { unsafe match($0, from: 0, whole: true, into: nil) }
    }

    /// Whether the pattern occurs in the text.
    package func occurs(in text: String) -> Bool {
        var text = text
        return text.withUTF8 { utf8 in
            unsafe match(utf8, from: 0, whole: false, into: nil)
        }
    }

    /// What a template makes of a text that matches as a whole; nil when it does not match.
    package func replace(_ text: String, with template: Template) -> String? {
        var text = text
        return text.withUTF8 { utf8 in
            unsafe withUnsafeTemporaryAllocation(of: cre2_range.self, capacity: groupCount + 1) { ranges in
                unsafe ranges.initialize(repeating: cre2_range())
                guard unsafe match(utf8, from: 0, whole: true, into: ranges) else { return nil }
                let result = unsafe template.expanded(UnsafeBufferPointer(ranges), of: utf8)
                return String(decoding: result, as: UTF8.self)
            }
        }
    }

    func match(
        _ utf8: UnsafeBufferPointer<UInt8>, from: Int, whole: Bool,
        into ranges: UnsafeMutableBufferPointer<cre2_range>?
    ) -> Bool {
        if let plain = unsafe plain, utf8.count <= PlainPattern.textBytesMax {
            return unsafe match(plain, utf8, from: from, whole: whole, into: ranges)
        }
        guard let literal = unsafe literal else {
            return unsafe search(utf8, from, whole ? CRE2_WHOLE : CRE2_ANYWHERE, ranges)
        }
        guard let start = unsafe literal.search(utf8, from: from, whole: whole) else { return false }
        if literal.isAll {
            // There are no groups.
            if let ranges = unsafe ranges, !ranges.isEmpty {
                unsafe ranges[0] = cre2_range(start: start, count: literal.count)
            }
            return true
        }
        if whole { return unsafe search(utf8, start, CRE2_WHOLE, ranges) }
        // Nearly always a match begins where its literal stands: RE2 need not look for its start then, which is half of
        // the time.
        return unsafe search(utf8, start, CRE2_AT_START, ranges)
            || search(utf8, start, CRE2_ANYWHERE, ranges)
    }

    private func match(
        _ plain: PlainPattern, _ utf8: UnsafeBufferPointer<UInt8>, from: Int, whole: Bool,
        into ranges: UnsafeMutableBufferPointer<cre2_range>?
    ) -> Bool {
        var (from, failed) = (from, 0)
        // What the literal has found need not be read again.
        let known = unsafe literal?.count ?? 0
        while let start = unsafe known > 0
            ? literal?.search(utf8, from: from, whole: whole) : plain.start(utf8, from: from, whole: whole)
        {
            if let end = unsafe plain.end(utf8, from: start, behind: known, whole: whole) {
                // There are no groups.
                if let ranges = unsafe ranges, !ranges.isEmpty {
                    unsafe ranges[0] = cre2_range(start: start, count: end - start)
                }
                return true
            }
            from = start + 1
            failed += 1
            if failed == PlainPattern.failedMax { return unsafe search(utf8, from, CRE2_ANYWHERE, ranges) }
        }
        return false
    }

    private func search(
        _ utf8: UnsafeBufferPointer<UInt8>, _ from: Int, _ anchor: Int,
        _ ranges: UnsafeMutableBufferPointer<cre2_range>?
    ) -> Bool {
        let wanted = unsafe ranges?.count ?? 0
        return unsafe utf8.withMemoryRebound(to: CChar.self) { bytes in
            // SAFETY: the pattern lives as long as self, text and ranges are borrowed for the call, and `wanted` is
            // at most the room in `ranges`.
            unsafe cre2_match(
                raw, bytes.baseAddress, bytes.count, from, Int32(anchor), ranges?.baseAddress, Int32(wanted))
        }
    }
}

extension RegularExpression: Equatable {
    /// Equal patterns match the same.
    package static func == (left: RegularExpression, right: RegularExpression) -> Bool {
        left.pattern == right.pattern
    }
}
