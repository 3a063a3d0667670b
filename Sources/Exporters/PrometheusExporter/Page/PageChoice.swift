/// What a scraper gets: chosen from its `Accept` and `Accept-Encoding`.
struct PageChoice: Sendable, Equatable {
    /// What the page is written in.
    let format: ExpositionFormat
    /// How names are written that old scrapers do not know.
    let escaping: NameEscaping
    /// The `Content-Type`, which says all of it.
    let contentType: String
    /// Whether the page is one gzip member.
    let isGzipped: Bool

    /// Chooses.
    ///
    /// The first of the formats that the scraper rates highest and that there is; text when there is none, as a scraper
    /// can rather do with another format than with no page. Never fails: what is not understood is left out.
    ///
    /// - Parameters:
    ///   - accept: the values of all `Accept` fields, in order.
    ///   - acceptEncoding: the values of all `Accept-Encoding` fields.
    ///   - openMetrics: whether OpenMetrics may be chosen.
    init(accept: [String], acceptEncoding: [String], openMetrics: Bool) {
        var chosen = Format(format: .text, contentType: Format.text)
        let wanted = MediaRange.parse(accept).filter { $0.quality > 0 }
        // Sorting keeps the order of equals.
        for range in wanted.sorted(by: { $0.quality > $1.quality }) {
            guard let found = Format(range, openMetrics: openMetrics) else { continue }
            chosen = found
            break
        }
        format = chosen.format
        escaping = chosen.escaping ?? .underscores
        contentType = chosen.contentType + "; escaping=" + escaping.rawValue
        let codings = MediaRange.parse(acceptEncoding)
        let coding =
            codings.first { $0.name == "gzip" || $0.name == "x-gzip" } ?? codings.first { $0.name == "*" }
        isGzipped = (coding?.quality ?? 0) > 0
    }
}

/// A format with its version, as far as a page is the same in several versions.
private struct Format {
    static let text = "text/plain; version=0.0.4; charset=utf-8"

    var format: ExpositionFormat
    var contentType: String
    var escaping: NameEscaping?

    init(format: ExpositionFormat, contentType: String) {
        self.format = format
        self.contentType = contentType
    }

    /// What a scraper means by an entry of `Accept`; nil when it is not to be had.
    init?(_ range: MediaRange, openMetrics: Bool) {
        let version = range.parameters["version"]
        switch range.name {
        case "application/vnd.google.protobuf":
            guard range.parameters["proto"] == "io.prometheus.client.MetricFamily",
                range.parameters["encoding"] == "delimited"
            else { return nil }
            self.init(
                format: .protobuf,
                contentType:
                    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            )
        case "application/openmetrics-text":
            guard openMetrics, ["1.0.0", "0.0.1", nil].contains(version) else { return nil }
            self.init(
                format: .openMetrics,
                contentType: "application/openmetrics-text; version=\(version ?? "1.0.0"); charset=utf-8")
        case "text/plain":
            guard ["1.0.0", "0.0.4", nil].contains(version) else { return nil }
            self.init(
                format: .text, contentType: "text/plain; version=\(version ?? "0.0.4"); charset=utf-8")
        case "text/*", "*/*":
            self.init(format: .text, contentType: Self.text)
        default: return nil
        }
        escaping = range.parameters["escaping"].flatMap { NameEscaping(rawValue: $0) }
    }
}

/// An entry of `Accept` or `Accept-Encoding`.
struct MediaRange: Equatable {
    /// In lower case, without parameters.
    let name: String
    /// Names in lower case, values without quotes.
    let parameters: [String: String]
    /// 0…1; what cannot be read is 1.
    let quality: Double

    /// All entries of the values of one field, in order. Commas and semicolons in quotes do not divide.
    static func parse(_ values: [String]) -> [MediaRange] {
        values.flatMap { split($0, at: UInt8(ascii: ",")) }.compactMap { MediaRange($0) }
    }

    private init?(_ text: Substring) {
        let parts = Self.split(String(text), at: UInt8(ascii: ";"))
        let name = Self.trimmed(parts[0]).lowercased()
        guard !name.isEmpty else { return nil }
        self.name = name
        var parameters: [String: String] = [:]
        var quality = 1.0
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: "=") else { continue }
            let key = Self.trimmed(part[..<equals]).lowercased()
            let value = Self.unquoted(Self.trimmed(part[part.index(after: equals)...]))
            if key == "q" {
                quality = Double(value).map { $0.isNaN ? 1 : min(max($0, 0), 1) } ?? 1
            } else if parameters[key] == nil {
                parameters[key] = value
            }
        }
        self.parameters = parameters
        self.quality = quality
    }

    private static func split(_ text: String, at separator: UInt8) -> [Substring] {
        var isQuoted = false
        return text.utf8.split(omittingEmptySubsequences: false) { byte in
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return byte == separator && !isQuoted
        }.map { Substring($0) }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var bytes = text.utf8.drop(while: isBlank)
        while let last = bytes.last, isBlank(last) { bytes.removeLast() }
        return Substring(bytes)
    }

    private static func unquoted(_ text: Substring) -> String {
        guard text.utf8.count >= 2, text.utf8.first == UInt8(ascii: "\""),
            text.utf8.last == UInt8(ascii: "\"")
        else {
            return String(text)
        }
        return String(text.dropFirst().dropLast())
    }
}
