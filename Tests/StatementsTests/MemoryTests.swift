import OTLP
import Testing

@testable import Statements

/// One record of a client, and statements that are fine for all others, would take all memory of the gateway.
@Suite struct MemoryTests {
    /// Statements on a log record whose attribute `a` is as long as asked for.
    private func run(
        _ statements: [String], bytes: Int, editor: RequestEditor = RequestEditor()
    ) throws -> (errors: [String], written: Int) {
        let group = try StatementGroup(
            statements: statements, context: .log, signal: .logs, errorMode: .ignore)
        let text = [UInt8](repeating: UInt8(ascii: "a"), count: bytes)
        let attribute = field(1, Array("a".utf8)) + field(2, field(1, text))
        let request = field(1, field(2, field(2, field(6, attribute))))
        var errors: [String] = []
        let written = request.withUnsafeBytes { bytes in
            editor.open(WireBytes(bytes))
            try? group.run(on: Frame(editor)) { errors.append($0.error.description) }
            return editor.writtenCount
        }
        return (errors, written)
    }

    private func field(_ number: UInt32, _ content: [UInt8]) -> [UInt8] {
        var writer = WireWriter()
        writer.field(number, content)
        return writer.bytes
    }

    private static let tooLong = "is longer than 67108864"

    /// Scenario: statements that give each record that `unroll` has made its list again, with and without a text that grows.
    /// Guarantees: no more than 10 000 records and 64 MiB come of a scope; what would be more fails by name. Else one record would be
    /// worked on for ever.
    @Test(
        arguments: [
            (
                ["set(attributes[\"l\"], [1, 2])", "unroll(attributes[\"l\"])"], 10,
                "new items from statements, more than 10000"
            ),
            (
                [
                    "set(attributes[\"l\"], [1, 2])",
                    "set(attributes[\"t\"], Concat([attributes[\"a\"], \"x\"], \"\"))",
                    "unroll(attributes[\"l\"])",
                ], 1 << 20, "bytes of new items from statements, more than 67108864"
            ),
            (["unroll(Split(attributes[\"a\"], \"\"))"], 20_000, ""),
            (
                ["set(attributes[\"l\"], Split(attributes[\"a\"], \"\"))", "unroll(attributes[\"l\"])"],
                20_000, "more than 10000"
            ),
        ] as [([String], Int, String)])
    func unrolledRecords(statements: [String], bytes: Int, error: String) throws {
        guard !error.isEmpty else {
            // Only a path is unrolled.
            #expect(throws: (any Error).self) { try run(statements, bytes: bytes) }
            return
        }
        let (errors, written) = try run(statements, bytes: bytes)
        #expect(errors.allSatisfy { $0.contains(error) } && !errors.isEmpty, "\(errors.prefix(3))")
        #expect(written < 200 << 20)
    }

    /// Scenario: statements that double a text of a megabyte ten times, in an attribute and in the cache. Guarantees: those that
    /// would go beyond 64 MiB fail, the others do not.
    @Test(arguments: ["attributes[\"a\"]", "cache[\"a\"]"])
    func doubling(path: String) throws {
        let double = "set(\(path), Concat([\(path), \(path)], \"\"))"
        let (errors, written) = try run(
            ["set(\(path), attributes[\"a\"])"] + Array(repeating: double, count: 10)
                + ["set(attributes[\"length\"], Len(\(path)))"], bytes: 1 << 20)
        #expect(errors.count == 4 && errors.allSatisfy { $0.contains(Self.tooLong) }, "\(errors)")
        #expect(written < 65 << 20)
    }

    /// Scenario: many keys of the cache, each of which is not too long. Guarantees: all together are.
    @Test func manyKeys() throws {
        let statements = (0..<10).map { "set(cache[\"\($0)\"], attributes[\"a\"])" }
        let (errors, _) = try run(statements, bytes: 10 << 20)
        #expect(errors.count == 4 && errors.allSatisfy { $0.contains(Self.tooLong) }, "\(errors)")
    }

    /// Scenario: statements that put a map of a megabyte into itself ten times. Guarantees: it stays below 64 MiB, and nothing
    /// longer is made on the way.
    @Test(arguments: ["attributes[\"m\"]", "body", "cache[\"m\"]"])
    func nesting(path: String) throws {
        let editor = RequestEditor()
        var asked = 0
        editor.limitMemory(to: 0) {
            asked = max(asked, $0)
            return $0
        }
        let (errors, written) = try run(
            ["set(\(path), {\"t\": attributes[\"a\"]})"]
                + (0..<10).map { "set(\(path)[\"\($0)\"], \(path))" }
                + ["set(attributes[\"all\"], \(path))"], bytes: 1 << 20, editor: editor)
        #expect(!errors.isEmpty && errors.allSatisfy { $0.contains(Self.tooLong) }, "\(errors)")
        #expect(written < 130 << 20 && asked < 300 << 20, "\(written), \(asked)")
    }

    /// Scenario: rows with a hundred thousand columns, and one of as many lines. Guarantees: reading them takes a time that
    /// grows with their length, not with its square.
    @Test(
        arguments: [
            "ParseCSV(\"\(columns(","))\", \"\(columns(","))\")",
            "ParseELF(\"\(columns(" "))\", \"\(columns(" "))\")",
            "ParseCSV(\"\(String(repeating: "aaaaaaaaa\\n", count: 400_000))\", \"a\")",
        ])
    func manyColumns(expression: String) throws {
        let start = ContinuousClock.now
        let result = try Evaluated(value: expression)
        #expect(result.errors.isEmpty, "\(result.errors)")
        #expect(ContinuousClock.now - start < .seconds(60))
    }

    private static func columns(_ separator: String) -> String {
        (0..<100_000).map { "k\($0)" }.joined(separator: separator)
    }

    /// Scenario: each byte of a text becomes a long one. Guarantees: the statement fails before the text is made.
    @Test(
        arguments: [
            "replace_pattern(attributes[\"a\"], \"a\", \"\(String(repeating: "b", count: 1000))\")",
            "replace_all_patterns(attributes, \"value\", \"a\", \"\(String(repeating: "b", count: 1000))\")",
        ])
    func growing(statement: String) throws {
        let (errors, written) = try run([statement], bytes: 1 << 20)
        #expect(written < 2 << 20, "\(errors)")
    }

    /// Scenario: a request with a text of 70 MiB. Guarantees: a statement that takes a password out of it works.
    @Test func whatCameIsNeverTooLong() throws {
        let (errors, written) = try run(
            ["replace_pattern(attributes[\"a\"], \"a$\", \"b\")"], bytes: 70 << 20)
        #expect(errors.isEmpty && written > 70 << 20, "\(errors)")
    }

    /// Scenario: the memory limit says no. Guarantees: the limit is asked before a long text, or what a text is parsed to, is
    /// made, and the request is to be refused.
    @Test(
        arguments: [
            "set(cache[\"x\"], Concat([attributes[\"a\"], attributes[\"a\"]], \"\"))",
            "set(cache[\"x\"], ParseJSON(attributes[\"a\"]))",
            "set(cache[\"x\"], ParseXML(attributes[\"a\"]))",
        ])
    func limited(statement: String) throws {
        let editor = RequestEditor()
        var asked = 0
        editor.limitMemory(to: 0) {
            asked = max(asked, $0)
            return $0 < 1 << 20 ? $0 : nil
        }
        _ = try run([statement], bytes: 1 << 20, editor: editor)
        #expect(asked >= 1 << 20 && editor.isOutOfMemory)
    }

    /// Scenario: a condition that looks at all children of each of many elements. Guarantees: it ends soon, and the statement
    /// fails; the same of a document of usual form works.
    @Test func xpath() throws {
        let many = String(repeating: "<b/>", count: 20_000)
        let path = "//b[../b='x' or ../b='y']"
        let start = ContinuousClock.now
        let result = try Evaluated(value: "GetXML(\"<a>\(many)</a>\", \"\(path)\")")
        #expect(result.errors.first?.contains("too often") == true, "\(result.errors)")
        #expect(ContinuousClock.now - start < .seconds(60))
        let few = String(repeating: "<c><b>x</b></c>", count: 20_000)
        let usual = try Evaluated(value: "RemoveXML(\"<a>\(few)</a>\", \"\(path)\")")
        #expect(usual.errors.isEmpty, "\(usual.errors)")
    }
}
