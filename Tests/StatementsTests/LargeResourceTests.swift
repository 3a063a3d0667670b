import OTLP
import Testing

@testable import Statements

/// Statements that read a resource with very many attributes for each of very many items: of one such request, the gateway would
/// have time for nothing else.
@Suite struct LargeResourceTests {
    private func field(_ number: UInt32, _ content: [UInt8]) -> [UInt8] {
        var writer = WireWriter()
        writer.field(number, content)
        return writer.bytes
    }

    /// Runs statements on a resource with attributes, and spans, as many where it is not said.
    private func run(
        _ statements: [String], _ attributes: Int, spans count: Int? = nil, nameBytes: Int = 1,
        looksMin: Int? = nil
    ) throws -> (errors: [String], time: Duration) {
        let count = count ?? attributes
        let group = try StatementGroup(
            statements: statements, context: .span, signal: .traces, errorMode: .ignore)
        let resource = (0..<attributes).flatMap {
            field(1, field(1, Array("a\($0)".utf8)) + field(2, field(1, [])))
        }
        let span = field(2, field(5, [UInt8](repeating: 97, count: nameBytes)))
        let spans = (0..<count).flatMap { _ in span }
        let request = field(1, field(1, resource) + field(2, spans))
        var errors: [String] = []
        let start = ContinuousClock.now
        request.withUnsafeBytes { bytes in
            let editor = RequestEditor()
            editor.open(WireBytes(bytes))
            let frame = Frame(editor)
            if let looksMin { frame.looksMin = looksMin }
            try? group.run(on: frame) { errors.append($0.error.description) }
        }
        return (errors, ContinuousClock.now - start)
    }

    /// Guarantees: a key, there or not, and how many there are, is found in a time that does not grow with their number, and as ever.
    @Test(
        arguments: [
            #"set(span.name, "b") where resource.attributes["zz"] == "q""#,
            #"set(span.name, "b") where resource.attributes["a19999"] == "q""#,
            #"set(span.name, "b") where Len(resource.attributes) != 20000"#,
            #"set(resource.attributes["a10000"], span.name)"#,
        ])
    func keys(statement: String) throws {
        let (errors, time) = try run([statement], 20_000)
        #expect(errors.isEmpty && time < .seconds(20), "\(time) \(errors.prefix(1))")
    }

    /// Guarantees: what looks at the whole map for each item fails by name once that is more than a few entries for each byte of the
    /// request, and so ends.
    @Test(
        arguments: [
            #"set(span.cache["n"], resource.attributes)"#,
            #"keep_keys(resource.attributes, ["a1"]) where Len(Keys(resource.attributes)) == 1"#,
            #"merge_maps(span.cache, resource.attributes, "upsert")"#,
            #"delete_matching_keys(resource.attributes, "^x")"#,
            #"replace_all_patterns(resource.attributes, "value", "x", "y")"#,
        ])
    func maps(statement: String) throws {
        let (errors, time) = try run([statement], 5_000, looksMin: 500_000)
        #expect(errors.first?.contains("entries of maps in one request, more than ") == true)
        #expect(time < .seconds(20), "\(time)")
    }

    /// Guarantees: the same of resources as they are usual works in requests as they are usual, with some statements.
    @Test(arguments: [(100, 100), (45, 15_000), (300, 3_000)])
    func usual(attributes: Int, spans: Int) throws {
        let merge = #"merge_maps(span.attributes, resource.attributes, "upsert")"#
        let look = #"set(span.name, "b") where Len(Keys(resource.attributes)) == 1"#
        let (errors, _) = try run([look, look, look, merge], attributes, spans: spans, nameBytes: 60)
        #expect(errors.isEmpty, "\(errors.prefix(1))")
    }
}
