/// Takes ids out of URLs, paths and the names of spans: a step that has anything but letters, `-`, `_`, `.` and spaces becomes
/// `*`, and so does one that no word is like; queries, fragments, users and passwords go. `v1` stays. Immutable.
struct URLSanitizer: Sendable {
    /// Further steps are cut.
    private static let stepsMax = 10

    /// The text without ids; nil when nothing changes.
    func sanitize(_ text: [UInt8]) -> [UInt8]? {
        let start = Self.pathStart(text)
        var result = Self.withoutUser(text[..<start])
        let path = text[start...].prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        let steps = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, step) in steps.prefix(Self.stepsMax + 1).enumerated() {
            if index > 0 { result.append(UInt8(ascii: "/")) }
            if Self.isName(step) { result += step } else { result.append(UInt8(ascii: "*")) }
        }
        return result == text ? nil : result
    }

    /// The name of a span without ids; nil when nothing changes, or nothing would be left.
    func sanitize(name: [UInt8]) -> [UInt8]? {
        guard let result = sanitize(name) else { return nil }
        let isEmpty = result.allSatisfy { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "/") }
        return isEmpty ? nil : result
    }

    /// Where the path begins behind `scheme://authority`.
    private static func pathStart(_ text: [UInt8]) -> Int {
        let scheme = text.prefix { isLetter($0) }
        guard !scheme.isEmpty, text[scheme.count...].starts(with: "://".utf8) else { return 0 }
        let authority = scheme.count + 3
        return text[authority...].firstIndex { "/?#".utf8.contains($0) } ?? text.count
    }

    /// `scheme://user:password@host` without user and password.
    private static func withoutUser(_ start: ArraySlice<UInt8>) -> [UInt8] {
        guard let at = start.lastIndex(of: UInt8(ascii: "@")),
            let colon = start.firstIndex(of: UInt8(ascii: ":"))
        else { return Array(start) }
        return start[...colon] + Array("//".utf8) + start[(at + 1)...]
    }

    private static func isName(_ step: ArraySlice<UInt8>) -> Bool {
        if step.count == 2, step.first.map({ $0 | 0x20 }) == UInt8(ascii: "v"),
            step.last.map({ (48...57).contains($0) }) == true
        {
            return true
        }
        return step.allSatisfy { isLetter($0) || "-_. ".utf8.contains($0) } && isWord(step)
    }

    /// Whether there are as many vowels as words have.
    private static func isWord(_ step: ArraySlice<UInt8>) -> Bool {
        var run = 0
        var letters = 0
        var vowels = 0
        for byte in step {
            guard isLetter(byte) else {
                run = 0
                continue
            }
            letters += 1
            if "aeiouyAEIOUY".utf8.contains(byte) {
                vowels += 1
                run = 0
            } else {
                run += 1
            }
            if run > 6 { return false }
        }
        return letters < 6 || vowels > 0
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}
