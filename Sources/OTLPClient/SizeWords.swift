/// How servers and proxies say that a request is too large, where no status says it.
///
/// The words of Go, Java, .NET, tonic, the C core, Node, Tempo, Mimir, Envoy, Akka and others, in parts that are common to
/// several. A text that is taken for one by mistake costs some requests: its batch is sent in smaller parts.
enum SizeWords {
    private static let all = [
        "larger than max", "larger than the max", "larger than the allowed", "larger than the limit",
        "exceeds max", "exceeds the max", "exceeds limit", "exceeds the limit", "exceeds ingestion limit",
        "exceeded max", "exceeded the max", "exceeds size limit", "exceeds the size limit",
        "exceeded size limit",
        "content length limit", "content length exceeded", "length limit exceeded", "maximum message size",
        "too large", "too_large", "too big", "toolarge",
    ]

    static func areIn(_ text: String) -> Bool {
        let text = Array(text.lowercased().utf8)
        return all.contains { contains(text, Array($0.utf8)) }
    }

    private static func contains(_ text: [UInt8], _ words: [UInt8]) -> Bool {
        guard text.count >= words.count else { return false }
        return (0...(text.count - words.count)).contains { text[$0...].starts(with: words) }
    }
}
