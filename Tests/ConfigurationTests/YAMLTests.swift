import Testing

@testable import Configuration

/// What an operator may write in YAML, and what he is told when it is none.
@Suite("YAML")
struct YAMLTests {
    /// What reading gives, as one line; problems with their places behind a bar.
    private static func read(_ yaml: String) -> String {
        let diagnostics = Diagnostics()
        let text = ConfigText(name: "y", order: 1, text: yaml)
        let node = YAMLReader.read(yaml, text, diagnostics)
        let problems = diagnostics.items.map { item in
            let place = item.origin.map { "\($0.line):\($0.column)+\($0.width) " } ?? ""
            return place + item.message
        }
        return (node.map(words) ?? "none")
            + (problems.isEmpty ? "" : " | " + problems.joined(separator: "; "))
    }

    private static func words(_ node: ConfigNode) -> String {
        switch node.content {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): quoted(value)
        case .list(let items): "[" + items.map(words).joined(separator: ", ") + "]"
        case .map(let map):
            "{" + map.entries.map { "\($0.key): \(words($0.value))" }.joined(separator: ", ") + "}"
        }
    }

    @Test(
        "what is written is what is read",
        arguments: [
            ("", "null"), ("# nothing\n", "null"), ("---\n", "null"), ("a: 5", "{a: 5}"),
            ("a: !!str 5", "{a: \"5\"}"), ("a: !!str", "{a: \"\"}"), ("a: \"5\"", "{a: \"5\"}"),
            ("a: '5'", "{a: \"5\"}"), ("a: !x 5", "{a: 5}"), ("a: !!int \"5\"", "{a: \"5\"}"),
            ("a: |\n  x\n  y\n", "{a: \"x\\ny\\n\"}"), ("a: |+\n  x\n", "{a: \"x\\n\"}"),
            ("a: |-\n  x\n", "{a: \"x\"}"), ("a: >\n  x\n  y\n", "{a: \"x y\\n\"}"),
            ("a: \"\\u00e9\\0\\x41\"", "{a: \"é\\u{0}A\"}"), ("\u{feff}a: 1", "{a: 1}"),
            ("a: 1\r\nb: 2\r\n", "{a: 1, b: 2}"), ("? a\n: 1", "{a: 1}"), ("%YAML 1.1\n---\na: 1", "{a: 1}"),
            ("--- {a: 1}\n...\n", "{a: 1}"), ("[]", "[]"), ("{}", "{}"), ("\"<<\": 1", "{<<: 1}"),
            ("1: a\ntrue: b", "{1: \"a\", true: \"b\"}"),
        ])
    func values(yaml: String, expected: String) {
        #expect(Self.read(yaml) == expected)
    }

    @Test(
        "an anchor stands for its value wherever it is used",
        arguments: [
            ("a: &x 5\nb: *x", "{a: 5, b: 5}"), ("a: &x\nb: *x", "{a: null, b: null}"),
            ("a: &x [1]\nb: [*x, *x]", "{a: [1], b: [[1], [1]]}"),
            ("a: &x 1\nb: &x 2\nc: *x", "{a: 1, b: 2, c: 2}"), ("&x k: *x", "{k: \"k\"}"),
            ("a: &x word\n*x : 1", "{a: \"word\", word: 1}"), ("a: [&x {b: 1}, *x]", "{a: [{b: 1}, {b: 1}]}"),
            ("a: &x {p: 1}\nb: {q: 2, <<: *x}", "{a: {p: 1}, b: {p: 1, q: 2}}"),
            // Whole values: a plain-text destination's `tls` must not leak into one that says its own.
            (
                "a: &x {t: {insecure: true}}\nb: {<<: *x, t: {name: n}}",
                "{a: {t: {insecure: true}}, b: {t: {name: \"n\"}}}"
            ),
            (
                "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}",
                "{a: {p: 1}, b: {p: 2, q: 2}, c: {p: 1, q: 2}}"
            ),
        ])
    func aliases(yaml: String, expected: String) {
        #expect(Self.read(yaml) == expected)
    }

    @Test(
        "every key that is written again is named at each further place",
        arguments: [
            (
                "a: 1\nb: 1\na: 2\nc: {d: 1, d: 2}\n\"b\": 3\na: 4",
                "none | 3:1+1 key \"a\" is already set on line 1; 4:11+1 key \"d\" is already set on line 4; "
                    + "5:1+0 key \"b\" is already set on line 2; 6:1+1 key \"a\" is already set on line 1"
            ),
            ("<<: {a: 1}\n<<: {b: 1}", "none | 2:1+2 key \"<<\" is already set on line 1"),
            ("a: &x b\nb: 1\n*x : 2", "none | 3:1+0 key \"b\" is already set on line 2"),
            (
                "a: 1\na: 2\nb: [",
                "none | 2:1+1 key \"a\" is already set on line 1; 3:5+1 not valid YAML: "
                    + "did not find expected node content while parsing a flow node"
            ),
        ])
    func duplicates(yaml: String, expected: String) {
        #expect(Self.read(yaml) == expected)
    }

    @Test(
        "what cannot be read is named with its place",
        arguments: [
            ("a: *x", "none | 1:4+1 not valid YAML: found undefined alias"),
            ("a: &x [*x]", "none | 1:8+1 not valid YAML: found undefined alias"),
            ("a: 1\nb: \"é\u{1}\"", "none | 2:6+1 not valid YAML: control characters are not allowed"),
            ("\u{0}", "none | 1:1+1 not valid YAML: control characters are not allowed"),
            (
                "[a]: 1\n{b: 1}: 2",
                "none | 1:1+0 a key must be a single word; 2:1+0 a key must be a single word"
            ),
            ("<<: 1", "none | 1:5+1 \"<<\" needs a section, found the number 1"),
            ("<<: [{a: 1}, 2]", "none | 1:14+1 \"<<\" needs a section, found the number 2"),
            (
                "a: !y!x 1",
                "none | 1:4+1 not valid YAML: found undefined tag handle while parsing a node"
            ),
            (
                "a: \"\\q\"",
                "none | 1:5+1 not valid YAML: found unknown escape character while parsing a quoted scalar"
            ),
        ])
    func mistakes(yaml: String, expected: String) {
        #expect(Self.read(yaml) == expected)
    }

    private static func nested(_ inner: String, _ depth: Int) -> String {
        String(repeating: "[", count: depth) + inner + String(repeating: "]", count: depth)
    }

    @Test("100 levels are read and 101 refused, also when an alias makes them")
    func depth() {
        #expect(Self.read(Self.nested("1", 100)) == Self.nested("1", 100))
        #expect(
            Self.read(Self.nested("1", 101)) == "none | 1:102+1 sections are nested deeper than 100")
        let half = "a: &x \(Self.nested("1", 50))\nb: "
        #expect(!Self.read(half + Self.nested("*x", 49)).contains("|"))
        #expect(
            Self.read(half + Self.nested("*x", 50)) == "none | 2:54+0 sections are nested deeper than 100")
    }

    @Test("a mistake in the YAML is named before a limit, up to a depth that costs no time")
    func refusedAndWrong() {
        let open =
            "none | 2:1+1 not valid YAML: did not find expected ',' or ']' while parsing a flow sequence"
        #expect(Self.read(String(repeating: "[", count: 200) + "1\n}").hasPrefix(open))
        #expect(
            Self.read(Self.nested("", 5000)) == "none | 1:1001+1 not valid YAML: nested deeper than 1000")
    }

    @Test("200000 values are read and one more refused; keys are not values")
    func manyValues() {
        let most = "[" + String(repeating: "{k: 1},", count: 99_999) + "1]"
        #expect(!Self.read(most).contains("|"))
        let more = "[" + String(repeating: "{k: 1},", count: 99_999) + "1,1]"
        #expect(
            Self.read(more)
                == "none | 1:699997+1 the source has more than 200000 values, aliases counted at each use")
    }
}
