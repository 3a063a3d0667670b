import OTLP
import Testing

/// What `read` makes of a text.
private func reading<Value>(
    _ text: String, depthMax: Int = JSONReader.depthMax,
    _ read: (inout JSONReader) throws(JSONError) -> Value
) throws(JSONError) -> Value {
    let bytes = Array(text.utf8)
    let result: Result<Value, JSONError> = bytes.withUnsafeBytes { bytes in
        do throws(JSONError) {
            var reader = try JSONReader(bytes, depthMax: depthMax)
            return .success(try read(&reader))
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

/// The fault in a text that is skipped as a whole.
private func fault(_ text: String) -> String? {
    do throws(JSONError) {
        try reading(text) { (reader) throws(JSONError) in
            try reader.skipValue()
            try reader.finish()
        }
        return nil
    } catch {
        return error.description
    }
}

/// If one failed, what other programs write in JSON would be misread, or reading would not end well.
struct JSONReaderTests {
    @Test func aDocumentIsReadValueByValue() throws {
        let text =
            #" { "name" : "a\nb" , "list":[1, -2.5e1,[ ],{}], "skipped": {"x": [true, null]}, "on": true }"#
        let seen = try reading(text) { (reader) throws(JSONError) in
            var seen: [String] = []
            try reader.beginObject()
            while let key = try reader.nextKey() {
                if key == "name" {
                    seen.append(try reader.readString().text)
                } else if key == "list" {
                    try reader.beginList()
                    while try reader.nextElement() {
                        if try reader.peek() == .number {
                            seen.append("\(try reader.readNumber().double)")
                        } else {
                            try reader.skipValue()
                        }
                    }
                } else if key == "on" {
                    seen.append("\(try reader.readBool())")
                } else {
                    try reader.skipValue()
                }
            }
            try reader.finish()
            return seen
        }
        #expect(seen == ["a\nb", "1.0", "-25.0", "true"])
    }

    @Test(arguments: [
        "null", "true", " false ", "0", "-0", "12.5e-3", "1E+2", "\"\"", "[]", "{}", "[[],{}]",
        "\"\\u00e9\\ud83d\\ude42\\/\"", "{\"a\":{\"a\":1},\"a\":2}", "\t\r\n[1\n,\t2]",
    ])
    func whatIsJSON(text: String) { #expect(fault(text) == nil) }

    @Test(arguments: [
        ("", "the JSON text ends early at byte 0"), ("  ", "the JSON text ends early at byte 2"),
        ("{", "the JSON text ends early at byte 1"), ("[1", "the JSON text ends early at byte 2, in [0]"),
        ("\"abc", "the JSON text ends early at byte 4"), ("tru", "the JSON text ends early at byte 3"),
        ("truf", "expected a value at byte 0"), ("nul1", "expected a value at byte 0"),
        ("[1 2]", "expected , or ] at byte 3, in [0]"), ("[1,]", "expected a value at byte 3, in [1]"),
        ("[,1]", "expected a value at byte 1, in [0]"), ("{\"a\" 1}", "expected : at byte 5, in a"),
        ("{\"a\":1,}", "expected a key or } at byte 7"),
        ("{\"a\":1 \"b\":2}", "expected , or } at byte 7, in a"),
        ("{a:1}", "expected a key or } at byte 1"), ("{\"a\":}", "expected a value at byte 5, in a"),
        ("1 2", "expected the end of the text at byte 2"), ("01", "malformed number at byte 0"),
        ("1.", "malformed number at byte 0"), (".5", "expected a value at byte 0"),
        ("-", "malformed number at byte 0"), ("1e", "malformed number at byte 0"),
        ("+1", "expected a value at byte 0"), ("NaN", "expected a value at byte 0"),
        ("\"\n\"", "unescaped control character at byte 1"), ("\"\\x\"", "malformed escape at byte 1"),
        ("\"\\u12g4\"", "malformed escape at byte 1"), ("\"\\u12", "the JSON text ends early at byte 5"),
        ("{\"a\":[{},{\"b\":[0,{\"c\":?}]}]}", "expected a value at byte 22, in a[1].b[1].c"),
        ("[{\"k\\\"{[,\":1},\"[{,\",x]", "expected a value at byte 20, in [2]"),
    ])
    func whatIsNotJSON(text: String, expected: String) { #expect(fault(text) == expected) }

    @Test func bytesThatAreNotText() {
        let bytes: [UInt8] = [UInt8(ascii: "\""), 0xFF, UInt8(ascii: "\"")]
        _ = bytes.withUnsafeBytes { bytes in
            #expect(throws: JSONError.self) { _ = try JSONReader(bytes) }
        }
    }

    /// If it failed, a text could end the process by using up its stack.
    @Test func nestingHasALimit() throws {
        let deepest = String(repeating: "[", count: 10) + String(repeating: "]", count: 10)
        try reading(deepest, depthMax: 10) { (reader) throws(JSONError) in try reader.skipValue() }
        #expect(throws: JSONError.self) {
            try reading(deepest, depthMax: 9) { (reader) throws(JSONError) in try reader.skipValue() }
        }
        #expect(
            fault(String(repeating: "[{\"a\":", count: 100_000))?.hasPrefix("objects and lists nested")
                == true)
    }

    @Test(arguments: [
        (#""""#, ""), (#""abc""#, "abc"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
        (#""\u0041\u00e9\u65E5""#, "Aé日"), (#""\ud83d\ude42!""#, "🙂!"), (#""\ud83d""#, "\u{FFFD}"),
        (#""\ud83dx""#, "\u{FFFD}x"), (#""\ude42\ud83d""#, "\u{FFFD}\u{FFFD}"),
        (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""\u0000""#, "\0"), (#""日本\n語""#, "日本\n語"),
    ])
    func strings(text: String, expected: String) throws {
        let read = try reading(text) { (reader) throws(JSONError) in try reader.readString().text }
        #expect(Array(read.unicodeScalars) == Array(expected.unicodeScalars))
    }

    @Test func keysAreComparedByWhatTheyMean() throws {
        try reading(#"{"n\u0061me":1,"name":2}"#) { (reader) throws(JSONError) in
            try reader.beginObject()
            while let key = try reader.nextKey() {
                #expect(key == "name")
                #expect(key != "nam")
                try reader.skipValue()
            }
        }
    }

    @Test(
        arguments: [
            ("0", 0, 0), ("-0", 0, 0), ("7", 7, 7), ("-7", -7, nil), ("1.0", 1, 1), ("1e3", 1000, 1000),
            ("1.5e1", 15, 15), ("100e-2", 1, 1), ("1.5", nil, nil), ("1e-1", nil, nil), ("0.0", 0, 0),
            ("0e99", 0, 0),
            ("9223372036854775807", .max, 1 << 63 - 1), ("-9223372036854775808", .min, nil),
            ("9223372036854775808", nil, 1 << 63), ("18446744073709551615", nil, .max),
            ("18446744073709551616", nil, nil), ("99999999999999999999999", nil, nil), ("1e400", nil, nil),
            ("1.7e18", 1_700_000_000_000_000_000, 1_700_000_000_000_000_000),
            ("-1e99999999999999999999", nil, nil),
            ("10000000000000000000.0", nil, 10_000_000_000_000_000_000),
        ] as [(String, Int64?, UInt64?)])
    func wholeNumbers(text: String, signed: Int64?, unsigned: UInt64?) throws {
        try reading(text) { (reader) throws(JSONError) in
            let number = try reader.readNumber()
            #expect(number.int64 == signed)
            #expect(number.uint64 == unsigned)
        }
    }

    @Test(arguments: [
        "0", "-0.0", "1", "0.1", "2.5e-3", "123456789012345678901234567890", "1e22", "1e23", "4.9e-324",
        "5e-325",
        "1.7976931348623157e308", "9007199254740993", "0.30000000000000004", "8.5e-22", "1e-22", "123e-30",
    ])
    func doubles(text: String) throws {
        let read = try reading(text) { (reader) throws(JSONError) in try reader.readNumber().double }
        #expect(read.bitPattern == Double(text)?.bitPattern)
    }
}
