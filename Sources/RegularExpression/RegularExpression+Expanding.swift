extension RegularExpression {
    /// What a template makes of the groups of the first match in a text of UTF-8; nil when there is none.
    package func expandFirst(_ text: [UInt8], with template: Template) -> [UInt8]? {
        let ranges = firstMatch(in: text)
        guard !ranges.isEmpty else { return nil }
        var result: [UInt8] = []
        for part in template.parts {
            switch part {
            case .text(let bytes): result += bytes
            case .group(let index): if let range = ranges[index] { result += text[range] }
            }
        }
        return result
    }
}
