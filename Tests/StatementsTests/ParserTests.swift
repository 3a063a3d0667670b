import OTLP
import Testing

@testable import Statements

/// What parses and what does not; a user would otherwise start with a statement that means something else.
@Suite("statements that are refused")
struct ParserTests {
    private func refusal(_ statement: String, _ context: ContextKind? = .log, _ signal: Signal = .logs)
        -> StatementError?
    {
        do throws(StatementGroup.Problems) {
            _ = try StatementGroup(
                statements: [statement], context: context, signal: signal, errorMode: .ignore)
            return nil
        } catch {
            return error.all.first?.error
        }
    }

    @Test(
        "syntax",
        arguments: [
            "set(body, 1e5)", "set(body, 'x')", "set(body, \"\\d\")", "set(body, 0xabc)",
            "set(body, 1) where body",
            "set(body, 1);", "set(body, 1) where not body", "Set(body, 1)", "set(body, 1)[0]", "set(body", "",
            "set(body, 9223372036854775808)", "set(body, 1) where 1 < 2 < 3", "set(body, \"x", "# comment",
            "set(body, concat([], \"\"))", "set(body, 1) AND true", "set(attributes.dash-ed, 1)",
        ])
    func syntax(_ statement: String) { #expect(refusal(statement) != nil) }

    @Test(
        "meaning",
        arguments: [
            ("nope(body)", "undefined function \"nope\""), ("set(bodi, 1)", "segment \"bodi\""),
            ("set(body)", "Expected: 2 Received: 1"), ("set(1, 2)", "must be a path"),
            ("set(span.name, \"x\")", "context \"span\""),
            ("set(body, Concat([\"a\"], 5))", "expected string but got int64"),
            ("limit(attributes, 1, [\"a\", \"b\"])", "cannot be less than number of priority attributes"),
            ("merge_maps(attributes, {}, \"replace\")", "invalid value for strategy"),
            ("set(body, IsMatch(\"x\", \"(\"))", "not a valid pattern"),
            ("set(severity_text[\"x\"], 1)", "keys indexing"),
            ("set(body, SEVERITY_NUMBER_HUGE)", "enum symbol not found"),
            ("set(body, Len(s=\"x\", t=1))", "Received: 2"),
            ("set(body, Len(x=\"x\"))", "no such parameter"), ("set(name=body, 1)", "no such parameter"),
            ("set(attributes.x, 1)", "path section \"x\" was not used"),
            ("set(body, Decode(\"x\", \"klingon\"))", "klingon"),
        ])
    func meaning(_ statement: String, _ message: String) {
        let found = refusal(statement)
        #expect(found?.message.contains(message) == true, "\(String(describing: found))")
    }

    /// Without the place one searches a line of 200 characters for one that is wrong.
    @Test("an error shows the place and what may have been meant")
    func place() throws {
        let found = try #require(refusal("set(attributes[\"x\"], IsMatc(body, \"a\"))"))
        #expect(found.place == (1, 22))
        #expect(found.help == "did you mean \"IsMatch\"?")
        #expect(found.description.hasSuffix("\n                         ^"))
    }

    @Test("nesting is bounded")
    func nesting() {
        let deep =
            "set(body, " + String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000) + ")"
        #expect(refusal(deep)?.message.contains("nested deeper than 64") == true)
    }

    @Test(
        "the context is the narrowest that is named",
        arguments: [
            ("set(resource.attributes[\"x\"], 1)", ContextKind.resource),
            ("set(scope.name, span.name)", .span),
            ("set(span.attributes[\"e\"], spanevent.name)", .spanevent),
            ("set(resource.attributes[\"x\"], 1) where IsRootSpan()", .span),
        ])
    func inference(_ statement: String, _ expected: ContextKind) throws {
        let group = try StatementGroup(
            statements: [statement], context: nil, signal: .traces, errorMode: .ignore)
        #expect(group.context == expected)
    }

    @Test(
        "a statement without a context name, or with one of another signal, has none",
        arguments: [
            "set(name, \"x\")", "set(log.body, \"x\")", "set(span.cache[\"x\"], spanevent.name)",
        ])
    func noContext(_ statement: String) { #expect(refusal(statement, nil, .traces) != nil) }
}
