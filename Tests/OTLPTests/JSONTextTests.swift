import OTLP
import TestSupport
import Testing

/// The text that `build` writes.
private func json(capacity: Int = 64, _ build: (inout JSONText) -> Void) -> String {
    var text = JSONText(capacity: capacity)
    build(&text)
    return String(decoding: text.array, as: UTF8.self)
}

/// If one failed, whoever reads our JSON would stop at a value, or read another one than was sent.
struct JSONTextTests {
    @Test(arguments: [
        (0, "0"), (1.0, "1"), (-1.0, "-1"), (100.0, "100"), (0.5, "0.5"), (-2.25, "-2.25"), (0.005, "0.005"),
        (0.1, "0.1"), (0.30000000000000004, "0.30000000000000004"), (123456.789, "123456.789"),
        (999_999_999_999_999, "999999999999999"), (1e15, "1e+15"), (1e16, "1e+16"), (1e300, "1e+300"),
        (Double.leastNonzeroMagnitude, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (1e-7, "0.0000001"),
        (1e-9, "1e-09"), (3.141592653589793, "3.141592653589793"), (-0.0, "-0.0"),
        (.nan, "\"NaN\""), (.infinity, "\"Infinity\""), (-.infinity, "\"-Infinity\""),
    ])
    func doublesInTheFewestDigits(value: Double, expected: String) {
        let text = json { $0.put(value) }
        // Above 1e15 the standard library chooses between two equally short forms.
        #expect(text == expected || (value.magnitude >= 1e15 && Double(text) == value))
    }

    /// Every number comes back, and no shorter text would do: as many digits as the standard library's.
    @Test func doublesComeBack() {
        var random = SeededRandom(seed: 7)
        for round in 0..<20_000 {
            let value =
                switch round % 4 {
                case 0: Double(bitPattern: random.next())
                case 1: Double(Int64(bitPattern: random.next()) >> 40) / 1000
                case 2: Double.random(in: -1...1, using: &random)
                default: Double(random.below(2_000_000)) * 1e-7
                }
            guard value.isFinite else { continue }
            let text = json { $0.put(value) }
            #expect(Double(text)?.bitPattern == value.bitPattern, "\(value) as \(text)")
            #expect(digits(of: text) == digits(of: "\(value)"), "\(value) as \(text)")
        }
    }

    /// The digits that count: neither zeros at the ends, nor the exponent.
    private func digits(of text: String) -> String {
        var digits = text.prefix { $0 != "e" }.filter { $0.isNumber }[...]
        while digits.first == "0" { digits.removeFirst() }
        while digits.last == "0" { digits.removeLast() }
        return String(digits)
    }

    @Test(arguments: [0, 1, 9, 10, 99, 100, 9_999, 10_000, 123_456_789, .max] as [UInt64])
    func wholeNumbers(value: UInt64) {
        #expect(json { $0.put(value) } == "\(value)")
        let signed = Int64(bitPattern: value)
        #expect(json { $0.put(signed) } == "\(signed)")
        #expect(json { $0.put(-(signed / 2)) } == "\(-(signed / 2))")
    }

    @Test func theSmallestNumber() { #expect(json { $0.put(Int64.min) } == "-9223372036854775808") }

    @Test(arguments: [
        ("", "\"\""), ("GET", "\"GET\""), ("a\"b\\c/d", #""a\"b\\c/d""#),
        ("\n\r\t\u{8}\u{C}\u{0}\u{1F}\u{7F}", "\"\\n\\r\\t\\b\\f\\u0000\\u001f\u{7F}\""),
        ("日本語 🙂 é", "\"日本語 🙂 é\""),
        (
            "0123456789abcdef\"0123456789abcdef0123456789\n",
            #""0123456789abcdef\"0123456789abcdef0123456789\n""#
        ),
    ])
    func strings(value: String, expected: String) {
        #expect(json { $0.put(string: value) } == expected)
    }

    @Test(arguments: [
        ([], "\"\"", "\"\""), ([0], "\"00\"", "\"AA==\""), ([0xAB, 0xCD], "\"abcd\"", "\"q80=\""),
        ([1, 2, 255], "\"0102ff\"", "\"AQL/\""), ([0xFB, 0xFF, 0xFE, 0x10], "\"fbfffe10\"", "\"+//+EA==\""),
    ])
    func bytes(value: [UInt8], hexadecimal: String, base64: String) {
        #expect(json { text in value.withUnsafeBytes { text.put(hexadecimal: $0) } } == hexadecimal)
        #expect(json { text in value.withUnsafeBytes { text.put(base64: $0) } } == base64)
    }

    /// If it failed, a large batch would be in memory as a whole, or parts of its text would be lost or doubled.
    @Test func textLeavesInParts() {
        var parts: [[UInt8]] = []
        var text = JSONText(capacity: 64) { parts.append($0.array) }
        let long = String(repeating: "0123456789\n", count: 50_000)
        text.mark("[")
        for number in 0..<20_000 as Range<UInt64> {
            text.put(number)
            text.mark(",")
        }
        text.put(string: long)
        text.mark("]")
        #expect(text.count < 3 * JSONText.partBytes)
        text.flush()
        #expect(text.count == 0)
        text.flush()
        #expect(parts.count > 5)
        #expect(parts.allSatisfy { !$0.isEmpty && $0.count < 3 * JSONText.partBytes })
        let numbers = (0..<20_000).map { "\($0)," }.joined()
        let escaped = String(repeating: "0123456789\\n", count: 50_000)
        #expect(String(decoding: parts.joined(), as: UTF8.self) == "[\(numbers)\"\(escaped)\"]")
    }

    /// If it failed, a gateway that has once written a large text would keep its memory.
    @Test func memoryIsGivenBack() {
        var text = JSONText()
        text.put(string: String(repeating: "x", count: 100_000))
        text.removeAll(keepingBytes: 1000)
        #expect(text.count == 0)
        text.put(string: "again")
        #expect(text.array == Array("\"again\"".utf8))
    }
}
