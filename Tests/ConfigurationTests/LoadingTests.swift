import Testing

@testable import Configuration

@Suite("Sources, merging and expansion")
struct LoadingTests {
    /// What loading gives, as one line; problems behind a bar.
    private static func loaded(
        _ sources: [String], overrides: [String] = [], variables: [String: String] = [:],
        files: [String: String] = [:]
    ) -> String {
        let diagnostics = Diagnostics()
        let node = ConfigLoader.load(
            sources: sources.map { ConfigSource($0) }, overrides: overrides,
            environment: fakeEnvironment(variables: variables, files: files), diagnostics: diagnostics)
        let problems = diagnostics.items.map { "\($0.path): \($0.message)" }.joined(separator: "; ")
        return (node.map(text) ?? "none") + (problems.isEmpty ? "" : " | " + problems)
    }

    private static func text(_ node: ConfigNode) -> String {
        switch node.content {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): "'\(value)'"
        case .list(let items): "[" + items.map(text).joined(separator: ", ") + "]"
        case .map(let map):
            "{" + map.entries.map { "\($0.key): \(text($0.value))" }.joined(separator: ", ") + "}"
        }
    }

    @Test(
        "several files make one: sections merge, lists and scalars replace, null removes",
        arguments: [
            (["yaml:a: {b: 1, c: 2}", "yaml:a: {c: 3, d: 4}"], "{a: {b: 1, c: 3, d: 4}}"),
            (["yaml:a: [1, 2]", "yaml:a: [3]"], "{a: [3]}"),
            (["yaml:a: {b: {c: 1}}", "yaml:a: {b: }"], "{a: {b: null}}"),
            (["yaml:a: 1", "yaml:a: {b: 2}"], "{a: {b: 2}}"),
            (["yaml:a: {b: 2}", "yaml:a: 1"], "{a: 1}"),
            (["yaml:a::b: 1", "yaml:a::c::d: x"], "{a: {b: 1, c: {d: 'x'}}}"),
            (["yaml:a::b: 1\na::c: 2"], "{a: {b: 1, c: 2}}"),
            (["yaml:", "yaml:a: 1"], "{a: 1}"),
            (["yaml:base: &x {p: 1, q: 2}\nuse: {<<: *x, q: 3}"], "{base: {p: 1, q: 2}, use: {p: 1, q: 3}}"),
            (["yaml:a: &l [1]\nb: *l"], "{a: [1], b: [1]}"),
        ])
    func merging(sources: [String], expected: String) {
        #expect(Self.loaded(sources) == expected)
    }

    @Test("sources are files, variables and texts")
    func sources() {
        let files = ["/etc/a.yaml": "a: 1", "b.yaml": "b: 2"]
        #expect(
            Self.loaded(
                ["/etc/a.yaml", "file:b.yaml", "env:CONF", "yaml:d: 4"], variables: ["CONF": "c: 3"],
                files: files)
                == "{a: 1, b: 2, c: 3, d: 4}")
    }

    @Test(
        "a source that cannot be read is named",
        arguments: [
            (
                "missing.yaml",
                "none | : configuration file \"missing.yaml\" cannot be read: No such file or directory"
            ),
            ("env:NOPE", "none | : environment variable \"NOPE\", named by --config, is not set"),
            (
                "env:NO-PE",
                "none | : environment variable \"NO-PE\" has an invalid name: must match ^[a-zA-Z_][a-zA-Z0-9_]*$"
            ),
            ("http://x/y", "none | : --config \"http://x/y\": scheme \"http\" is not supported"),
            ("https://x/y", "none | : --config \"https://x/y\": scheme \"https\" is not supported"),
            ("yaml:[1]", "none | : expected sections such as \"receivers:\" at the top, found a list"),
            ("yaml:5", "none | : expected sections such as \"receivers:\" at the top, found the number 5"),
        ])
    func badSources(source: String, expected: String) {
        #expect(Self.loaded([source]) == expected)
    }

    @Test("no source at all is an error")
    func noSource() {
        #expect(Self.loaded([]) == "none | : no configuration given")
    }

    @Test(
        "--set wins over every file",
        arguments: [
            ("a.b=2", "{a: {b: 2, c: 'x'}}"), ("a.b=", "{a: {b: null, c: 'x'}}"),
            ("a.b=[1, y]", "{a: {b: [1, 'y'], c: 'x'}}"),
            ("a::b=true", "{a: {b: true, c: 'x'}}"), ("a.b={d: 5s}", "{a: {b: {d: '5s'}, c: 'x'}}"),
            ("d.e.f=x=y", "{a: {b: 1, c: 'x'}, d: {e: {f: 'x=y'}}}"), ("a=1", "{a: 1}"),
            ("a.c=${env:V}", "{a: {b: 1, c: 'value'}}"), ("a.c=\"5\"", "{a: {b: 1, c: '5'}}"),
            ("a.b", "none | : an override must look like key=value"),
            ("=1", "none | : an override must look like key=value"),
            ("a..b=1", "none | : the key \"a..b\" has an empty part"),
        ])
    func overrides(argument: String, expected: String) {
        #expect(
            Self.loaded(["yaml:a: {b: 1, c: x}"], overrides: [argument], variables: ["V": "value"])
                == expected)
    }

    private static let variables = [
        "NUMBER": "42", "SEVENS": "007", "TEXT": "some text", "FLAG": "true", "LIST": "[a, b]",
        "MAP": "{k: v}",
        "EMPTY": "", "NAME": "NUMBER", "LOOP": "${env:LOOP}", "NESTED": "${env:NUMBER}", "BROKEN": "a: b: c",
        "QUOTED": "\"q\"", "DOLLARS": "a$$b", "TWICE": "${env:TWICE}${env:TWICE}", "COMMENT": "a # b",
    ]

    @Test(
        "${…} brings in what it names",
        arguments: [
            ("${env:NUMBER}", "42"), ("${NUMBER}", "42"), ("\"${env:NUMBER}\"", "42"),
            ("${env:FLAG}", "true"),
            ("${env:TEXT}", "'some text'"), ("${env:LIST}", "['a', 'b']"), ("${env:MAP}", "{k: 'v'}"),
            ("x${env:NUMBER}y", "'x42y'"), ("${env:NUMBER}${env:NUMBER}", "'4242'"),
            ("${env:MISSING:-7}", "7"), ("${MISSING:-a:-b}", "'a:-b'"), ("${env:MISSING:-}", "null"),
            ("${env:MISSING:-${env:NUMBER}}", "42"), ("${env:NUMBER:-7}", "42"), ("${env:EMPTY:-7}", "null"),
            ("${env:${env:NAME}}", "42"), ("${env:NESTED}", "42"), ("$$", "'$'"),
            ("$${env:NUMBER}", "'${env:NUMBER}'"),
            ("$$$${env:NUMBER}", "'$${env:NUMBER}'"), ("$$${env:NUMBER}", "'$42'"), ("$", "'$'"),
            ("$5", "'$5'"),
            ("${env:NUMBER", "'${env:NUMBER'"), ("${file:/t}", "'token'"), ("x-${file:/t}", "'x-token'"),
            ("${file:/m}", "{deep: {n: 42}}"), ("\"${yaml:[1, 2]}\"", "[1, 2]"),
            ("${env:BROKEN}", "'a: b: c'"),
            ("${env:QUOTED}", "'\"q\"'"), ("${env:DOLLARS}", "'a$b'"), ("${env:COMMENT}", "'a # b'"),
            ("[\"${env:NUMBER}\", \"a${env:FLAG}\"]", "[42, 'atrue']"), ("${env:SEVENS}", "7"),
        ])
    func expansion(value: String, expected: String) {
        let found = Self.loaded(
            ["yaml:v: " + value], variables: Self.variables,
            files: ["/t": "token\n", "/m": "deep:\n  n: ${env:NUMBER}\n"])
        #expect(found == "{v: \(expected)}")
    }

    @Test(
        "a ${…} that cannot be followed is an error or, when only unset, a warning",
        arguments: [
            (
                "${env:MISSING}",
                "{v: null} | v: environment variable \"MISSING\" is not set; the value is empty"
            ),
            (
                "a${MISSING}b",
                "{v: 'ab'} | v: environment variable \"MISSING\" is not set; the value is empty"
            ),
            (
                "${1}",
                "{v: null} | v: environment variable \"1\" has an invalid name: must match ^[a-zA-Z_][a-zA-Z0-9_]*$"
            ),
            (
                "${}",
                "{v: null} | v: environment variable \"\" has an invalid name: must match ^[a-zA-Z_][a-zA-Z0-9_]*$"
            ),
            ("${vault:x}", "{v: null} | v: scheme \"vault\" of \"${vault:x}\" is not supported"),
            ("${file:/no}", "{v: null} | v: file \"/no\" cannot be read: No such file or directory"),
            ("a${env:LIST}", "{v: 'a[a, b]'}"),
            (
                "${env:LOOP}",
                "{v: null} | v: follows more than 1000 references or 100 within each other; does one lead back to itself?"
            ),
            (
                "${env:TWICE}",
                "{v: null} | v: follows more than 1000 references or 100 within each other; does one lead back to itself?"
            ),
        ])
    func badExpansion(value: String, expected: String) {
        #expect(Self.loaded(["yaml:v: " + value], variables: Self.variables) == expected)
    }

    @Test("many references in one text and many in all are refused")
    func expansionLimits() {
        let hundred = String(repeating: "${N}", count: 100)
        #expect(
            Self.loaded(["yaml:v: \(hundred)"], variables: ["N": "1"])
                == "{v: '\(String(repeating: "1", count: 100))'}")
        #expect(
            Self.loaded(["yaml:v: \(hundred)${N}"], variables: ["N": "1"])
                == "{v: null} | v: has more than 100 references in one text")
        let wide = ["N": "1", "W": hundred, "V": String(repeating: "${W}", count: 10)]
        #expect(
            Self.loaded(["yaml:v: ${V}"], variables: wide)
                == "{v: null} | v: follows more than 1000 references or 100 within each other; does one lead back to itself?"
        )
    }

    @Test("a token made of digits stays a token, and a number in a text field is named")
    func originalText() {
        let diagnostics = Diagnostics()
        let node = ConfigLoader.load(
            sources: [.yaml("a: ${env:SEVENS}\nb: 007\nc: [\"${env:FLAG}\"]")], overrides: [],
            environment: fakeEnvironment(variables: Self.variables), diagnostics: diagnostics)
        guard case .map(let map) = node?.content, let origin = node?.origin else {
            Issue.record("nothing was loaded")
            return
        }
        let top = ConfigSection(
            path: "", map: map, origin: origin, diagnostics: diagnostics, paths: ReadPaths())
        #expect(top.string("a", default: "") == "007")
        #expect(top.int("a", default: 0) == 7)
        #expect(top.stringList("c") == ["true"])
        #expect(diagnostics.items.isEmpty)
        #expect(top.string("b", default: "none") == "none")
        #expect(diagnostics.items.map(\.message) == ["expected a text, found the number 007"])
    }

    @Test("a text that would eat all memory or stack is refused")
    func bombs() {
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...7 {
            let list = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            bomb += "a\(level): &a\(level) [\(list)]\n"
        }
        #expect(
            Self.loaded(["yaml:" + bomb])
                == "none | : the source has more than 200000 values, aliases counted at each use")
        let deep = String(repeating: "[", count: 200) + String(repeating: "]", count: 200)
        #expect(Self.loaded(["yaml:a: " + deep]) == "none | : sections are nested deeper than 100")
        let deeper = String(repeating: "[", count: 100_000)
        #expect(Self.loaded(["yaml:a: " + deeper]).hasPrefix("none | : not valid YAML: "))
    }
}
