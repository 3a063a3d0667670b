import Testing

@testable import HTTP

/// The check of fields stands in for nghttp2's own: what it lets through reaches everything behind it.
@Suite struct HTTP2RequestCheckTests {
    private func check(_ name: String, _ value: [UInt8]) -> (isKept: Bool, fault: HTTP2Malformed?) {
        let check = HTTP2RequestCheck()
        let isKept = Array(name.utf8).withUnsafeBytes { name in
            value.withUnsafeBytes { value in check.field(name, value) }
        }
        return (isKept, check.fault)
    }

    /// Values are read eight bytes at a time: a control character must be seen wherever in them it stands, or one client could
    /// write lines into logs and other protocols behind us.
    @Test func aControlCharacterIsFoundAtEveryPlace() {
        for length in 1...20 {
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var value = [UInt8](repeating: UInt8(ascii: "a"), count: length)
                    value[place] = byte
                    let isEdge = place == 0 || place == length - 1
                    let isBlank = byte == 0x20 || byte == 0x09
                    let isControl = byte < 0x20 && byte != 0x09 || byte == 0x7F
                    let (isKept, fault) = check("x-field", value)
                    #expect(isKept == !(isControl || isBlank && isEdge), "\(byte) at \(place) of \(length)")
                    #expect(fault == ([0, 0x0A, 0x0D].contains(byte) ? .fieldValue : nil))
                }
            }
        }
    }

    /// An upper-case name breaks the request (RFC 9113 §8.2.1); other odd bytes cost the field only.
    @Test func aNameIsOfTokensInLowerCase() {
        for byte in UInt8(ascii: "!")...UInt8(ascii: "~") where byte != UInt8(ascii: ":") {
            let character = Character(Unicode.Scalar(byte))
            let (isKept, fault) = check("x\(character)y", Array("value".utf8))
            #expect(isKept == (isToken(byte) && !character.isUppercase), "\(character)")
            #expect(fault == (character.isUppercase ? .fieldName : nil), "\(character)")
        }
    }
}
