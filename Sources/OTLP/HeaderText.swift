/// How gRPC writes what does not fit a header as it is: base64 for `-bin` headers, percents for
/// `grpc-message`.
package enum HeaderText {
    /// Base64 without padding, as gRPC sends `grpc-status-details-bin`.
    package static func base64(_ bytes: [UInt8]) -> String {
        String(decoding: Base64.encode(bytes, isPadded: false), as: UTF8.self)
    }

    /// Reads base64, padded or not; nil for anything else.
    package static func decodeBase64(_ text: some StringProtocol) -> [UInt8]? {
        let digits = Array(text.utf8)
        return Base64.decode(digits, isPadded: digits.count.isMultiple(of: 4))
    }

    /// Percent-encodes a `grpc-message`: all bytes but printable ASCII, and the percent sign.
    package static func percentEncode(_ message: String) -> String {
        let hex = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in message.utf8 {
            if (0x20...0x7E).contains(byte) && byte != UInt8(ascii: "%") {
                text.append(byte)
            } else {
                text += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads a percent-encoded `grpc-message`. A percent sign without two digits stays; bad UTF-8 is
    /// repaired.
    package static func percentDecode(_ text: some StringProtocol) -> String {
        let encoded = Array(text.utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < encoded.count {
            if encoded[index] == UInt8(ascii: "%"), index + 2 < encoded.count,
                let high = hexValue(encoded[index + 1]), let low = hexValue(encoded[index + 2])
            {
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(encoded[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
