import OTLP
import Testing

@testable import Statements

/// Functions that make much more of a record than it is: one record would take the gateway's memory, and with it all others.
@Suite struct ResultMemoryTests {
    /// Sets attribute `o` of a log record with a body, and an attribute `new`, to a value.
    /// - Parameter granted: bytes of memory that there are.
    /// - Returns: the errors, the most that was asked for, the bytes of the record behind it.
    private func run(
        _ value: String, body: String, new: String = "", granted: Int = .max
    ) throws -> (errors: [String], asked: Int, isOutOfMemory: Bool, written: Int) {
        let group = try StatementGroup(
            statements: ["set(attributes[\"o\"], \(value))"], context: .log, signal: .logs, errorMode: .ignore
        )
        let attribute = field(1, Array("new".utf8)) + field(2, field(1, Array(new.utf8)))
        let record = field(5, field(1, Array(body.utf8))) + field(6, attribute)
        let request = field(1, field(2, field(2, record)))
        let editor = RequestEditor()
        var asked = 0
        editor.limitMemory(to: 0) {
            asked = max(asked, $0)
            return $0 <= granted ? $0 : nil
        }
        var errors: [String] = []
        let written = request.withUnsafeBytes { bytes in
            editor.open(WireBytes(bytes))
            try? group.run(on: Frame(editor)) { errors.append($0.error.description) }
            return editor.isOutOfMemory ? 0 : editor.writtenCount
        }
        return (errors, asked, editor.isOutOfMemory, written)
    }

    private func field(_ number: UInt32, _ content: [UInt8]) -> [UInt8] {
        var writer = WireWriter()
        writer.field(number, content)
        return writer.bytes
    }

    /// Scenario: one record that a function makes many values of, and memory for a part of them. Guarantees: memory is asked for
    /// before they are made, at least what they take, and the request is refused: else the process would end, and all that
    /// it holds would be lost.
    @Test(
        arguments: [
            ("Split(body, \",\")", many(",", 1_000_000), 40 << 20),
            ("Split(body, \"\")", many("a", 1_000_000), 40 << 20),
            ("ParseCSV(body, body)", columns(100_000, ",", ""), 20 << 20),
            ("ParseCSV(body, \"a\")", many("\n", 1_000_000) + "a", 40 << 20),
            ("ParseKeyValue(body)", columns(100_000, " ", "=1"), 20 << 20),
            ("ParseXML(body)", elements, 20 << 20),
            ("GetXML(body, \"//b\")", elements, 20 << 20),
            ("ExtractPatterns(body, \"(?P<a>(?P<b>(?P<c>.*)))\")", many("a", 2_000_000), 6_000_000),
        ] as [(String, String, Int)])
    func asked(value: String, body: String, bytes: Int) throws {
        let refused = try run(value, body: body, granted: bytes)
        #expect(refused.isOutOfMemory && refused.asked > bytes, "\(refused.asked)")
        let taken = try run(value, body: body)
        #expect(taken.errors.isEmpty && taken.written > 0, "\(taken.errors)")
        // What is asked for is no more than a few times that: else what there is memory for would be refused.
        #expect(taken.asked < 12 * bytes, "\(taken.asked)")
    }

    private static func many(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

    private static let elements = "<a>" + many("<b/>", 100_000) + "</a>"

    private static func columns(_ count: Int, _ separator: String, _ end: String) -> String {
        (0..<count).map { "a\($0)" + end }.joined(separator: separator)
    }

    /// Scenario: an xpath finds elements that lie in each other, or puts a long text into each of many elements: what is made is
    /// hundreds of times the record. Guarantees: the statement fails with a message that says how long it would be, before it
    /// is made.
    @Test(
        arguments: [
            (
                "InsertXML(body, \"//b\", attributes[\"new\"])", "<a>" + many("<b>1</b>", 3000) + "</a>",
                "<n>" + many("x", 100_000) + "</n>"
            ),
            ("InsertXML(body, \"//b\", body)", "<a>" + many("<b/>", 18_000) + "</a>", ""),
            (
                "GetXML(body, \"//b//b//b\")", many("<b>", 100) + many("<c/>", 100_000) + many("</b>", 100),
                ""
            ),
        ] as [(String, String, String)])
    func tooMuch(value: String, body: String, new: String) throws {
        let result = try run(value, body: body, new: new, granted: 160 << 20)
        #expect(!result.isOutOfMemory)
        #expect(result.errors.count == 1)
        let error = result.errors.first ?? ""
        #expect(error.contains("would make a text of") && error.contains("more than"), "\(error)")
        #expect(result.written < 2 * (body.utf8.count + new.utf8.count), "\(result.written)")
    }

    /// Scenario: what people insert, and take out. Guarantees: it is made as ever, at each place that is found.
    @Test func usual() throws {
        let body = "<a>\(String(repeating: "<b>1</b>", count: 1000))</a>"
        let inserted = try run(
            "InsertXML(body, \"//b\", attributes[\"new\"])", body: body,
            new: "<n k='1'>x&amp;y</n><m/>")
        #expect(inserted.errors.isEmpty, "\(inserted.errors)")
        let one = "<n k=\"1\">x&amp;y</n><m></m>".utf8.count
        #expect(inserted.written > 2 * body.utf8.count + 1000 * one)
        #expect(inserted.written < 2 * body.utf8.count + 1000 * one + 200)
        let found = try run("GetXML(body, \"//b/text()\")", body: body)
        #expect(found.errors.isEmpty && found.written < body.utf8.count + 1200, "\(found)")
    }

    /// Scenario: a text is split by, and searched for, a long text that nearly stands at each place. Guarantees: the time does not
    /// grow with both lengths multiplied, which would be minutes.
    @Test(arguments: ["Split(body, attributes[\"new\"])", "Index(body, attributes[\"new\"])"])
    func longDelimiter(value: String) throws {
        let start = ContinuousClock.now
        let result = try run(
            value, body: String(repeating: "a", count: 400_000),
            new: String(repeating: "a", count: 200_000) + "b")
        #expect(result.errors.isEmpty, "\(result.errors)")
        #expect(ContinuousClock.now - start < .seconds(20))
    }
}
