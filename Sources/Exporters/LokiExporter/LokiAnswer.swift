internal import HTTP
internal import NIOCore

/// What an answer of Loki means for the push it answers.
enum LokiAnswer: Equatable {
    /// Loki has all of it.
    case stored
    /// It may work later. `isTenants`: other tenants' pushes need not wait.
    case retryable(String, after: TimeAmount?, isTenants: Bool)
    /// It will never work for `entries` of the push, the others are stored.
    case rejected(entries: Int, String, advice: String?)
    /// It may work in smaller pushes.
    case tooLarge(String)

    /// Longest text of an answer that is shown.
    private static let textBytesMax = 1024

    /// - Parameters:
    ///   - entries: how many the push had.
    ///   - path: of the request, for advice.
    init(_ response: HTTPClientResponse, entries: Int, path: Substring) {
        let text = Self.text(response.body)
        let message = "Loki answered \(response.status)" + (text.isEmpty ? "" : ": " + text)
        switch response.status {
        case 260:
            self = .rejected(entries: entries, message, advice: "ingestion is blocked in Loki's limits")
        case 200..<300: self = .stored
        case 413: self = .tooLarge(message)
        case 429:
            self = .retryable(
                message, after: response.headers.first("retry-after").flatMap(RetryAfter.delay),
                isTenants: true)
        case 500...:
            self = .retryable(
                message, after: response.headers.first("retry-after").flatMap(RetryAfter.delay),
                isTenants: false)
        case 400:
            // The whole text: Loki lists entries first, and counts them at its end.
            self = .rejected(
                entries: Self.ignoredEntries(String(buffer: response.body), of: entries), message, advice: nil
            )
        default:
            self = .rejected(
                entries: entries, message, advice: Self.advice(response.status, path: path))
        }
    }

    private static func advice(_ status: Int, path: Substring) -> String? {
        switch status {
        case 401:
            "write credentials under \"headers\" (Authorization), and with auth_enabled a tenant (X-Scope-OrgID)"
        case 403: "these credentials or this tenant may not push: check \"headers\" and Loki's gateway"
        case 404:
            "nothing is there: check the path of \"endpoint\" (\(path)); Loki's own is /loki/api/v1/push"
        case 405, 415: "what answers is not Loki's push endpoint: check \"endpoint\""
        case 422: "Loki found no streams in the push: check what stands between it and the gateway"
        default: nil
        }
    }

    /// The answer's text, one line.
    private static func text(_ body: ByteBuffer) -> String {
        let start = body.getBytes(at: body.readerIndex, length: min(body.readableBytes, textBytesMax)) ?? []
        var line = ""
        for scalar in String(decoding: start, as: UTF8.self).unicodeScalars {
            line.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
        }
        while line.last == " " { line.removeLast() }
        return line
    }

    /// How many entries a text of 400 says were not stored: the sum of its `total ignored: N out of M`; all when it says
    /// nothing that can be.
    static func ignoredEntries(_ text: String, of entries: Int) -> Int {
        var ignored = 0
        var rest = text[...]
        let phrase = "total ignored: "
        while let found = rest.firstRange(of: phrase) {
            rest = rest[found.upperBound...]
            let count = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest[count.endIndex...]
            guard let count = Int(count), rest.hasPrefix(" out of ") else { return entries }
            let (sum, overflow) = ignored.addingReportingOverflow(count)
            if overflow { return entries }
            ignored = sum
        }
        return (1...max(entries, 1)).contains(ignored) ? ignored : entries
    }
}

extension Substring {
    /// Where a text occurs first.
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) {
                return start..<index(start, offsetBy: text.count)
            }
            start = index(after: start)
        }
        return nil
    }
}
