import Testing

@testable import AuditLog

/// Without these the bytes of an entry would not be those that another implementation of RFC 8785 makes of it.
@Suite("Canonical JSON")
struct CanonicalJSONTests {
    /// Appendix B of RFC 8785, and what ECMAScript says of its limits.
    @Test(
        "numbers are written as ECMAScript does",
        arguments: [
            (0.0, "0"), (-0.0, "0"), (Double.leastNonzeroMagnitude, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (9_007_199_254_740_992, "9007199254740992"),
            (295_147_905_179_352_825_856, "295147905179352830000"),
            (1e21, "1e+21"), (1e-6, "0.000001"), (1e-7, "1e-7"), (333_333_333.3333332, "333333333.3333332"),
            (-1.5, "-1.5"), (1_424_953_923_781_206.2, "1424953923781206.2"),
        ])
    func numbers(value: Double, expected: String) {
        var json = CanonicalJSON()
        json.append(value)
        #expect(String(decoding: json.bytes, as: UTF8.self) == expected)
    }

    /// Section 3.2.2.2: only what must be escaped is, in the shortest way.
    @Test("strings have no escapes but the needed ones")
    func strings() {
        var json = CanonicalJSON()
        json.append(
            string:
                "\u{20ac}$\u{0f}\u{0a}A'\u{42}\u{22}\u{5c}\u{5c}\u{22}/\u{7f}\u{08}\u{0c}\u{0d}\u{09}\u{1f600}"
        )
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\\b\\f\\r\\t\u{1f600}\"")
    }

    /// Section 3.2.3's own example: the order of UTF-16, not of UTF-8.
    @Test("keys are in the order of UTF-16")
    func order() {
        let keys = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"]
        var json = CanonicalJSON()
        json.append(object: keys.map { (Array($0.utf8), Array("1".utf8)) })
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == "{\"\\r\":1,\"1\":1,\"\u{80}\":1,\"\u{f6}\":1,\"\u{20ac}\":1,\"\u{1f600}\":1,\"\u{fb33}\":1}"
        )
    }
}
