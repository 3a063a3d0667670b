import Testing

@testable import Statements

/// What parses and what does not; a user would otherwise start with a statement that means something else.
@Suite struct ParserTests {
    @Test(arguments: [
        "set(x, 1e5)", "set(x, 'x')", "set(x, \"\\d\")", "set(x, 0xabc)", "set(x, 1) where a", "set(x, 1);",
    ])
    func refuses(_ text: String) {
        #expect(throws: StatementError.self) { try Parser.statement(text) }
    }
}
