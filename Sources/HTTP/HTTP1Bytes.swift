let cr = UInt8(ascii: "\r")
let lf = UInt8(ascii: "\n")
let space = UInt8(ascii: " ")
let tab = UInt8(ascii: "\t")
let slash = UInt8(ascii: "/")
let zero = UInt8(ascii: "0")
let one = UInt8(ascii: "1")

/// The characters of methods and of field names (RFC 9110 §5.6.2).
func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        zero...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
        UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
        true
    default: false
    }
}

/// The characters of a host with a port (RFC 3986 §3.2.2), and those of the names that Envoy makes.
func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"): false
    case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "("), UInt8(ascii: ")"),
        UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="):
        true
    default: isToken(byte)
    }
}

func equalsIgnoringCase(_ bytes: Slice<UnsafeRawBufferPointer>, _ text: StaticString) -> Bool {
    var trimmed = unsafe bytes
    while let first = unsafe trimmed.first, first == space || first == tab { unsafe trimmed.removeFirst() }
    while let last = unsafe trimmed.last, last == space || last == tab { unsafe trimmed.removeLast() }
    let wanted = unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    return unsafe trimmed.elementsEqual(wanted) { $0 == $1 || ($0 | 0x20 == $1 && isToken($0)) }
}

func decimal(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard (1...18).contains(bytes.count) else { return nil }
    var value = 0
    for index in 0..<bytes.count {
        let byte = unsafe bytes[index]
        guard (zero...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int(byte - zero)
    }
    return value
}

/// A client's bytes as a message shows them: printable, no longer than a line.
func shown(_ bytes: UnsafeRawBufferPointer) -> String {
    let visible = unsafe bytes.prefix(64).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
    return String(decoding: visible, as: UTF8.self)
}

/// The size that a chunk's first line says (RFC 9112 §7.1); nil when it says none.
func chunkSize(_ line: UnsafeRawBufferPointer) -> Int? {
    var value = 0
    var digits = 0
    for index in 0..<line.count {
        let byte = unsafe line[index]
        let digit: UInt8
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
        // What follows are extensions, which mean nothing here.
        case UInt8(ascii: ";") where digits > 0, space where digits > 0, tab where digits > 0:
            return unsafe line.contains(lf) || line.contains(cr) ? nil : value
        default: return nil
        }
        digits += 1
        guard digits <= 15 else { return nil }
        value = value << 4 | Int(digit)
    }
    return digits > 0 ? value : nil
}
