internal import MetricBuilding
internal import NIOCore
internal import OTLP
internal import RequestServing

/// A span of Zipkin's second model, in which form it came apart. Times are microseconds since 1970.
struct ZipkinSpan {
    struct Endpoint {
        var service: [UInt8] = []
        /// Addresses as texts.
        var ipv4: [UInt8] = []
        var ipv6: [UInt8] = []
        var port = 0
    }

    /// 16 and 8 bytes; empty: not there.
    var traceID: [UInt8] = []
    var id: [UInt8] = []
    var parentID: [UInt8] = []
    var name: [UInt8] = []
    var kind = SpanDraft.Kind.unspecified
    /// 0: not there.
    var timestamp: UInt64 = 0
    var duration: UInt64 = 0
    var local = Endpoint()
    var remote = Endpoint()
    var tags = TagList()
    var annotations: [(time: UInt64, value: [UInt8])] = []
}

extension TranslationError {
    static func zipkin(_ message: String) -> TranslationError { .malformed("zipkin: \(message)") }
}

/// What Zipkin's texts mean.
enum ZipkinText {
    /// A number of hexadecimal digits as so many bytes, padded in front; nil when it is none or has more.
    static func id(_ text: some Collection<UInt8>, bytes: Int) -> [UInt8]? {
        guard (1...bytes * 2).contains(text.count) else { return nil }
        var id = [UInt8](repeating: 0, count: bytes)
        var place = bytes * 2 - text.count
        for digit in text {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = digit - UInt8(ascii: "A") + 10
            default: return nil
            }
            id[place / 2] |= place % 2 == 0 ? value << 4 : value
            place += 1
        }
        return id
    }

    /// Nanoseconds of microseconds, at most what there is room for.
    static func nanoseconds(_ microseconds: UInt64) -> UInt64 {
        let (product, overflow) = microseconds.multipliedReportingOverflow(by: 1000)
        return overflow ? .max : product
    }

    /// A tag's value: a text, or with `parse_string_tags` what it looks like.
    static func value(_ text: [UInt8], parses: Bool) -> TagValue {
        guard parses, let first = text.first else { return .text(text) }
        if text.elementsEqual("true".utf8) { return .bool(true) }
        if text.elementsEqual("false".utf8) { return .bool(false) }
        let isNegative = first == UInt8(ascii: "-")
        let parts = text.dropFirst(isNegative ? 1 : 0).split(
            separator: UInt8(ascii: "."), maxSplits: 2, omittingEmptySubsequences: false)
        let isNumber = parts.allSatisfy { part in
            !part.isEmpty && part.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        }
        let whole = String(decoding: text, as: UTF8.self)
        if isNumber, parts.count == 1 { return .int(Int64(whole) ?? (isNegative ? .min : .max)) }
        if isNumber, parts.count == 2, let number = Double(whole) { return .double(number) }
        return .text(text)
    }

    /// An address in its usual form; nil when it is none of this kind.
    static func address(_ text: [UInt8], isIPv6: Bool) -> [UInt8]? {
        let text = String(decoding: text, as: UTF8.self)
        guard let address = try? SocketAddress(ipAddress: text, port: 0), let usual = address.ipAddress,
            (address.protocol == .inet6) == isIPv6
        else { return nil }
        return Array(usual.utf8)
    }
}
