import Testing

@testable import Configuration

@Suite("Reading a section")
struct SectionTests {
    private enum Colour: String, CaseIterable {
        case red
        case green
    }

    @Test("every kind of value is read, and absent or empty keys give the default")
    func values() {
        let diagnostics = Diagnostics()
        let keys = section(
            """
            flag: true
            number: 5
            whole: 1e3
            ratio: 0.5
            time: 1m30s
            zero: 0
            name: abc
            colour: green
            list: [a, b]
            commas: a,b,c
            map: {X: "1", Y: }
            token: hush
            inner: {deep: 1}
            items: [{n: 1}, {n: 2}]
            empty:
            """, diagnostics)
        #expect(keys.bool("flag", default: false))
        #expect(keys.int("number", default: 1) == 5)
        #expect(keys.int("whole", default: 1) == 1000)
        #expect(keys.double("ratio", default: 1) == 0.5)
        #expect(keys.double("number", default: 1) == 5)
        #expect(keys.duration("time", default: .zero) == .seconds(90))
        #expect(keys.duration("zero", default: .seconds(1)) == .zero)
        #expect(keys.string("name", default: "") == "abc")
        #expect(keys.choice("colour", default: Colour.red) == .green)
        #expect(keys.stringList("list") == ["a", "b"])
        #expect(keys.stringList("commas") == ["a", "b", "c"])
        #expect(keys.stringMap("map") == [ConfigPair("X", "1"), ConfigPair("Y", "")])
        #expect(keys.secret("token") == Secret("hush"))
        #expect("\(Secret("hush"))" == "[REDACTED]")
        #expect(keys.section("inner")?.int("deep", default: 0) == 1)
        #expect(keys.sectionList("items")?.map { $0.int("n", default: 0) } == [1, 2])
        #expect(keys.section("empty")?.keys == [])
        #expect(keys.int("empty", default: 7) == 7)
        #expect(keys.section("absent") == nil)
        #expect(keys.optionalBool("absent") == nil && keys.optionalInt("absent") == nil)
        #expect(keys.optionalString("absent") == nil && keys.optionalDuration("absent") == nil)
        #expect(keys.optionalStringList("absent") == nil && keys.sectionList("absent") == nil)
        #expect(keys.choice("absent", default: Colour.red) == .red)
        #expect(keys.stringMap("absent").isEmpty && keys.secretMap("absent").isEmpty)
        keys.finish()
        #expect(diagnostics.render() == "")
    }

    @Test("one run shows all mistakes, in the order of the file, each once")
    func allProblems() {
        let diagnostics = Diagnostics()
        let keys = section("b: x\na: y\nc: 1\n", diagnostics)
        _ = keys.int("a", default: 0)
        _ = keys.int("b", default: 0)
        _ = keys.int("a", default: 0)
        keys.finish()
        keys.finish()
        #expect(
            diagnostics.items.map { "\($0.origin?.line ?? 0) \($0.path): \($0.message)" } == [
                "1 s::b: expected a whole number, found the text \"x\"",
                "2 s::a: expected a whole number, found the text \"y\"",
                "3 s: unknown key \"c\"",
            ])
        #expect(diagnostics.hasErrors)
    }

    @Test(
        "what a misspelt key leaves missing is no second error, in its section or in the one whose list it is in"
    )
    func followUps() {
        func problems(_ yaml: String, _ read: (ConfigSection) -> Void) -> [String] {
            let diagnostics = Diagnostics()
            read(section(yaml, diagnostics))
            return diagnostics.items.map { "\($0.path): \($0.message)" }
        }
        func lacks(_ section: ConfigSection, _ key: String) {
            if section.optionalString(key) == nil { section.report(nil, error: "requires \(key)") }
        }
        // Before and after the misspelt key is found.
        for finishesFirst in [true, false] {
            let found = problems("Path: x\nlist: [{Key: a}, {key: b}]\nother: {}") { keys in
                let items = keys.sectionList("list") ?? []
                let other = keys.section("other")
                if finishesFirst { keys.accept("path") }
                for item in items { _ = item.optionalString("key") }
                if finishesFirst { keys.finish() }
                lacks(keys, "path")
                keys.report("list", error: "an entry has no key")
                other?.report(nil, error: "requires something else")
                keys.finish()
            }
            #expect(
                found == [
                    "s: unknown key \"Path\"", "s::list::0: unknown key \"Key\"",
                    "s::other: requires something else",
                ], "\(found)")
        }
        // Nothing like it is known: two facts.
        let found = problems("url: x") { keys in
            lacks(keys, "endpoint")
            keys.finish()
        }
        #expect(found == ["s: requires endpoint", "s: unknown key \"url\""])
    }

    @Test(
        "what means off is no use of a feature that is missing",
        arguments: [
            ("a:", false), ("a: false", false), ("a: 0", false), ("a: \"\"", false), ("a: []", false),
            ("a: {}", false), ("a: {b: }", false), ("a: {b: 1}", true), ("a: true", true), ("a: x", true),
            ("a: [x]", true), ("b: 1", false),
        ])
    func notSupportedYet(yaml: String, isError: Bool) {
        let diagnostics = Diagnostics()
        let keys = section(yaml, diagnostics)
        keys.notSupportedYet("a")
        #expect(diagnostics.hasErrors == isError)
    }

    @Test("a warning does not stop a start")
    func warnings() {
        let diagnostics = Diagnostics()
        let keys = section("a: 1", diagnostics)
        keys.report("a", warning: "is odd", help: "write 2")
        keys.ignored("a", "it is odd")
        #expect(!diagnostics.hasErrors)
        #expect(
            diagnostics.render() == """
                config.yaml:1:1: warning: s::a: has no effect: it is odd
                   1 | a: 1
                     | ^
                config.yaml:1:4: warning: s::a: is odd
                   1 | a: 1
                     |    ^
                   help: write 2

                """)
    }

    @Test("no secret is shown, not even a misspelt one")
    func secretsInMessages() {
        let diagnostics = Diagnostics()
        let keys = section("token: [hush]\nheaders:\n  A: [hush]\n  B: 5\n", diagnostics)
        #expect(keys.secret("token") == nil)
        #expect(keys.secretMap("headers").isEmpty)
        #expect(diagnostics.items.count == 3)
        #expect(!diagnostics.render().contains("hush") && !diagnostics.render().contains("5\n"))
        #expect(
            diagnostics.items.allSatisfy { !$0.message.contains("hush") && !($0.help ?? "").contains("5") })
    }

    @Test("a marker stands under its token behind tabs, wide characters and in very long lines")
    func markers() {
        let diagnostics = Diagnostics()
        let keys = section(
            "{a: \"\u{fc}\u{1F600}\",\tb: x, c: \"" + String(repeating: "l", count: 300) + "\", d: y}",
            diagnostics)
        _ = keys.int("b", default: 0)
        _ = keys.int("d", default: 0)
        let lines = diagnostics.render().split(separator: "\n")
        #expect(lines[2] == "     |          \t   ^")
        #expect(lines[6].hasSuffix(" ^") && lines[6].count < 180)
        #expect(lines[5].hasSuffix("d: y}"))
    }

    @Test("a section from a text that is no section is empty and an error")
    func notASection() {
        for yaml in ["[1]", "x", "a: [", "a: 1\na: 2"] {
            let diagnostics = Diagnostics()
            #expect(section(yaml, diagnostics).keys.isEmpty)
            #expect(diagnostics.hasErrors, "\(yaml)")
        }
    }
}
