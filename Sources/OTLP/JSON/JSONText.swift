internal import COTLP

/// JSON text under construction: bytes that grow, or that leave in parts.
///
/// Owns its memory and keeps it from text to text. Not for two threads at a time. Writing a value allocates
/// nothing, except when the memory must grow. With a `sink` it hardly ever does: the sink gets the text in
/// parts of 64 KiB or a little more, cut anywhere, and the last part with `flush`.
@safe
package struct JSONText: ~Copyable {
    /// Takes one part of the text; borrows it for the call.
    package typealias Sink = (WireBytes) -> Void

    /// A part is handed to the sink when it has at least so many bytes and there is no room for more.
    package static let partBytes = 64 << 10

    /// Owned; freed with self.
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    /// Bytes that are here: all, or with a sink those that it has not got yet.
    package private(set) var count = 0
    private let sink: Sink?

    /// Empty text with room for `capacity` bytes.
    package init(capacity: Int = 4 << 10, sink: Sink? = nil) {
        self.capacity = max(capacity, 64)
        unsafe base = UnsafeMutablePointer<UInt8>.allocate(capacity: self.capacity)
        self.sink = sink
    }

    deinit {
        // SAFETY: allocated in `init` or `grow`, and nobody has it but self.
        unsafe base.deallocate()
    }

    /// Lends the text; it must not be kept.
    package borrowing func withBytes<Result>(_ body: (WireBytes) -> Result) -> Result {
        // SAFETY: the first `count` bytes are written.
        unsafe body(WireBytes(base: UnsafeRawPointer(base), count: count))
    }

    /// A copy of the text.
    package var array: [UInt8] { withBytes { $0.array } }

    /// Starts anew in the same memory; memory beyond `keepingBytes` is given back.
    package mutating func removeAll(keepingBytes limit: Int = 1 << 20) {
        count = 0
        if capacity > limit { replaceMemory(max(limit, 64)) }
    }

    /// Hands what is there to the sink, if there is one and anything to hand over.
    package mutating func flush() {
        guard let sink, count > 0 else { return }
        withBytes(sink)
        count = 0
    }

    // MARK: - Room

    /// Makes room for so many bytes.
    @inline(__always)
    private mutating func reserve(_ bytes: Int) {
        if capacity &- count < bytes { grow(bytes) }
    }

    @inline(never)
    private mutating func grow(_ bytes: Int) {
        if count >= Self.partBytes { flush() }
        let needed = count + bytes
        if needed <= capacity { return }
        replaceMemory(max(needed, 2 * capacity))
    }

    private mutating func replaceMemory(_ bytes: Int) {
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes)
        // SAFETY: there is room for `count` bytes in both; the old memory is not used any more.
        unsafe larger.update(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = larger
        capacity = bytes
    }

    /// Appends a byte for which there is room.
    @inline(__always)
    private mutating func store(_ byte: UInt8) {
        // SAFETY: every caller has reserved the room.
        unsafe base[count] = byte
        count &+= 1
    }

    // MARK: - Marks and numbers

    /// Appends one character of ASCII.
    @inline(__always)
    package mutating func mark(_ character: Unicode.Scalar) {
        reserve(1)
        store(UInt8(truncatingIfNeeded: character.value))
    }

    /// Appends one byte.
    @inline(__always)
    package mutating func put(byte: UInt8) {
        reserve(1)
        store(byte)
    }

    /// Appends bytes as they are: JSON already. Many at once go to the sink without a copy.
    @inline(__always)
    package mutating func put(_ bytes: UnsafeRawBufferPointer) {
        if bytes.count > Self.partBytes, let sink {
            flush()
            unsafe sink(WireBytes(bytes))
            return
        }
        reserve(bytes.count)
        guard let source = bytes.baseAddress else { return }
        // SAFETY: the room was reserved; nobody has a pointer to the memory behind `count`.
        unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: source, byteCount: bytes.count)
        count &+= bytes.count
    }

    /// Appends JSON of ours.
    package mutating func put(json: StaticString) {
        // SAFETY: the literal lives for ever.
        unsafe put(UnsafeRawBufferPointer(start: json.utf8Start, count: json.utf8CodeUnitCount))
    }

    /// Appends a whole number.
    package mutating func put(_ value: UInt64) {
        reserve(20)
        storeDigits(value, at: count, width: Self.digitCount(value))
        count &+= Self.digitCount(value)
    }

    /// Appends a whole number.
    package mutating func put(_ value: Int64) {
        reserve(21)
        if value < 0 { store(UInt8(ascii: "-")) }
        put(value.magnitude)
    }

    /// Writes a number in so many digits, with zeros in front.
    @inline(__always)
    private mutating func storeDigits(_ value: UInt64, at start: Int, width: Int) {
        var rest = value
        var index = start &+ width
        while index > start {
            index &-= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            // SAFETY: every caller has reserved `width` bytes from `start` on.
            unsafe base[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit)
            rest = quotient
        }
    }

    @inline(__always)
    private static func digitCount(_ value: UInt64) -> Int {
        var count = 1
        var rest = value
        while rest >= 10_000 {
            rest /= 10_000
            count &+= 4
        }
        return rest >= 1000 ? count &+ 3 : rest >= 100 ? count &+ 2 : rest >= 10 ? count &+ 1 : count
    }

    /// Appends a number in the fewest digits that mean it; what is no number in JSON as a string: `"NaN"`,
    /// `"Infinity"`, `"-Infinity"`.
    package mutating func put(_ value: Double) {
        if putShortDecimal(value) { return }
        guard value.isFinite else {
            put(json: value.isNaN ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"")
            return
        }
        // The standard library's text is the shortest, too, and is JSON: `5e-324`, `1.2345678901234567e+30`.
        var digits = DigitStream()
        value.write(to: &digits)
        digits.append(to: &self)
    }

    private static let powersOfTen: [9 of Double] = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8]

    /// Appends a number that has at most 8 decimals and 15 digits: most of those that people choose.
    private mutating func putShortDecimal(_ value: Double) -> Bool {
        let magnitude = value.magnitude
        // Two numbers of at most 15 digits are never the same double, so the first one that is this is the one.
        guard magnitude < 1e15, value != 0 || value.sign == .plus else { return false }
        for decimals in 0..<9 {
            let scale = Self.powersOfTen[decimals]
            let scaled = (magnitude * scale).rounded(.toNearestOrEven)
            guard scaled < 1e15 else { return false }
            guard scaled / scale == magnitude else { continue }
            reserve(32)
            if value < 0 { store(UInt8(ascii: "-")) }
            let all = UInt64(scaled)
            let (whole, fraction) = all.quotientAndRemainder(dividingBy: UInt64(scale))
            put(whole)
            if decimals > 0 {
                store(UInt8(ascii: "."))
                storeDigits(fraction, at: count, width: decimals)
                count &+= decimals
            }
            return true
        }
        return false
    }

    // MARK: - Strings

    /// Appends UTF-8 as a JSON string.
    package mutating func put(string bytes: UnsafeRawBufferPointer) {
        mark("\"")
        var done = 0
        while done < bytes.count {
            // In parts, so that a long text leaves through the sink as it comes.
            let part = min(bytes.count &- done, Self.partBytes / 4)
            reserve(part &+ 16)
            // SAFETY: `part` bytes are left in the source, and there is room for them and 16 more.
            let copied = unsafe cotlp_json_copy_plain(
                base + count, bytes.baseAddress.unsafelyUnwrapped + done, part)
            count &+= copied
            done &+= copied
            if copied < part {
                unsafe putEscaped(bytes[done])
                done &+= 1
            }
        }
        mark("\"")
    }

    /// Appends text as a JSON string.
    package mutating func put(string text: String) {
        var text = text
        text.withUTF8 { unsafe put(string: UnsafeRawBufferPointer($0)) }
    }

    private mutating func putEscaped(_ byte: UInt8) {
        reserve(6)
        store(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\n"): store(UInt8(ascii: "n"))
        case UInt8(ascii: "\r"): store(UInt8(ascii: "r"))
        case UInt8(ascii: "\t"): store(UInt8(ascii: "t"))
        case 0x08: store(UInt8(ascii: "b"))
        case 0x0C: store(UInt8(ascii: "f"))
        case 0..<0x20:
            store(UInt8(ascii: "u"))
            store(UInt8(ascii: "0"))
            store(UInt8(ascii: "0"))
            store(Self.hexDigit(byte >> 4))
            store(Self.hexDigit(byte & 0xF))
        default: store(byte)
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &- 10 &+ value
    }

    /// Appends bytes as a string of lower-case hexadecimal digits.
    package mutating func put(hexadecimal bytes: UnsafeRawBufferPointer) {
        mark("\"")
        for index in 0..<bytes.count {
            let byte = unsafe bytes[index]
            reserve(2)
            store(Self.hexDigit(byte >> 4))
            store(Self.hexDigit(byte & 0xF))
        }
        mark("\"")
    }

    /// Appends bytes as a string in base 64 (RFC 4648 section 4, with padding).
    package mutating func put(base64 bytes: UnsafeRawBufferPointer) {
        mark("\"")
        unsafe WireBytes(bytes).forEachBase64Digit { put(byte: $0) }
        mark("\"")
    }
}

/// Catches the digits of a number without a `String` around them.
private struct DigitStream: TextOutputStream {
    private var bytes: [32 of UInt8] = .init(repeating: 0)
    private var count = 0

    mutating func write(_ text: String) {
        for byte in text.utf8 { append(byte) }
    }

    /// What the standard library calls for numbers; when it does not, it calls `write`.
    mutating func _writeASCII(_ buffer: UnsafeBufferPointer<UInt8>) {
        for index in 0..<buffer.count { append(unsafe buffer[index]) }
    }

    private mutating func append(_ byte: UInt8) {
        // The longest text of a double has 24 characters.
        precondition(count < 32, "a number longer than any number")
        bytes[count] = byte
        count += 1
    }

    mutating func append(to text: inout JSONText) {
        for index in 0..<count { text.mark(Unicode.Scalar(bytes[index])) }
    }
}
