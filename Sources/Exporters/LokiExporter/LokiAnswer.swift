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
    /// Loki has none of it, because of some of it or because of itself: the text does not say. `mayRepeat`: the same push
    /// may work later.
    case failed(String, after: TimeAmount?, mayRepeat: Bool)
    /// It may work in smaller pushes.
    case tooLarge(String)

    /// Longest text of an answer that is shown.
    private static let textBytesMax = 1024

    /// - Parameters:
    ///   - push: what is answered.
    ///   - path: of the request, for advice.
    init(_ response: HTTPClientResponse, to push: Push, path: Substring) {
        let entries = push.entries
        let after = response.headers.first("retry-after").flatMap(RetryAfter.delay)
        let text = Self.text(response.body)
        let message = "Loki answered \(response.status)" + (text.isEmpty ? "" : ": " + text)
        switch response.status {
        case 260:
            self = .rejected(entries: entries, message, advice: "ingestion is blocked in Loki's limits")
        case 200..<300 where Self.isPage(response):
            self = .rejected(
                entries: entries, message,
                advice:
                    "a web page is no answer of Loki's: check the host and the path of \"endpoint\" (\(path))"
            )
        case 200..<300: self = .stored
        case 413: self = .tooLarge(message)
        case 429: self = .retryable(message, after: after, isTenants: true)
        case 500: self = .failed(message, after: after, mayRepeat: true)
        case 501...: self = .retryable(message, after: after, isTenants: false)
        case 400:
            // The whole text: Loki lists entries first, and counts them at its end.
            if let refused = Self.refused(String(buffer: response.body), of: push) {
                self = .rejected(entries: refused, message, advice: nil)
            } else {
                self = .failed(message, after: nil, mayRepeat: false)
            }
        default:
            self = .rejected(
                entries: entries, message, advice: Self.advice(response.status, path: path))
        }
    }

    /// Whether a proxy answers with a page for people, as one that wants a login does.
    private static func isPage(_ response: HTTPClientResponse) -> Bool {
        let type = response.headers.first("content-type")?.lowercased() ?? ""
        return type.hasPrefix("text/html") || response.body.readableBytesView.first == UInt8(ascii: "<")
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

    /// How many entries a text of 400 says were not stored, at most all; nil when it speaks of none.
    static func refused(_ text: String, of push: Push) -> Int? {
        var streams: [String: Int]?
        let count = LokiRefusal.entries(text) { message in
            guard let start = message.utf8.firstIndex(of: UInt8(ascii: "{")),
                let end = message.utf8.lastIndex(of: UInt8(ascii: "}")), start < end
            else { return nil }
            let known = streams ?? PushSplitter.entriesByStream(push)
            streams = known
            return known[String(message[start...end])]
        }
        return count.map { min(max($0, 1), push.entries) }
    }
}
