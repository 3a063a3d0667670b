extension String {
    /// Whether the text is what a pattern says: `*` is any text, `?` one character.
    package func matches(wildcards pattern: String) -> Bool {
        let (name, pattern) = (Array(unicodeScalars), Array(pattern.unicodeScalars))
        var (at, place) = (0, 0)
        var star: (pattern: Int, name: Int)?
        while at < name.count {
            if place < pattern.count, pattern[place] == "*" {
                star = (place, at)
                place += 1
            } else if place < pattern.count, pattern[place] == "?" || pattern[place] == name[at] {
                at += 1
                place += 1
            } else if let last = star {
                star = (last.pattern, last.name + 1)
                place = last.pattern + 1
                at = last.name + 1
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == "*" }
    }
}
