import Testing

@testable import Configuration

/// A password that happens to look like YAML must reach the destination as it is, and must not reach the log.
@Suite struct SecretTextTests {
    private func load(_ yaml: String, _ secret: String) -> (section: ConfigSection, diagnostics: Diagnostics)
    {
        let diagnostics = Diagnostics()
        let environment = ConfigEnvironment(
            variable: { $0 == "X" ? secret : nil }, file: { _ in .success(secret + "\n") })
        let node = ConfigLoader.load(
            sources: [.yaml(yaml)], overrides: [], environment: environment, diagnostics: diagnostics)
        var map = ConfigMap()
        if case .map(let read)? = node?.content { map = read }
        let origin = ConfigOrigin(
            text: ConfigText(name: "t", order: 0, text: yaml), line: 1, column: 1, width: 0)
        let section = ConfigSection(
            path: "", map: map, origin: origin, diagnostics: diagnostics, paths: ReadPaths())
        return (section, diagnostics)
    }

    static let secrets = [
        "!x", "!x y", "!!int 5", "&a", "&a b", "#x", "# x", "*x", "%x", "@x", "`x", "{x", "{x}", "{a: 1}",
        "[x", "[x]",
        "null", "~", "Null", "true", "0123", "1e3", "0x1F", "a: b", "a: b: c", "- a", "? a", "|", ">", "x #y",
        "'x", "\"x",
        "---", "--- a", "a\n---\nb", "=", "<<", "\u{FEFF}x", "%YAML 1.2", ", x", "x: ", ":", "-", "!", "&",
        "*",
    ]

    @Test(arguments: secrets) func aTextFieldGetsTheCharacters(secret: String) {
        for source in ["env:X", "X", "file:/x"] {
            let (section, diagnostics) = load(
                "a: ${\(source)}\nh: {k: \"${\(source)}\"}\nl: [\"${\(source)}\"]", secret)
            #expect(section.secret("a")?.value == secret)
            #expect(section.optionalString("a") == secret)
            #expect(section.secretMap("h") == [SecretPair("k", secret)])
            #expect(section.optionalStringList("l") == [secret])
            #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
        }
    }

    @Test(arguments: secrets) func insideATextItIsInsertedAsItIs(secret: String) {
        let (section, diagnostics) = load("a: \"Bearer ${env:X}!\"", secret)
        #expect(section.optionalString("a") == "Bearer \(secret)!")
        #expect(diagnostics.items.isEmpty, "\(diagnostics.render())")
    }

    /// Guarantees: what is meant as nothing or as a section stays that.
    @Test func sectionsAndDefaultsStayWhatTheyAre() {
        let (section, _) = load("a: ${env:Y:-null}\nb: ${env:X}\nc: ${env:Y:-}", "{k: 1}")
        #expect(section.optionalString("a") == nil && section.optionalString("c") == nil)
        #expect(section.section("b")?.int("k", default: 0) == 1)
    }

    /// Scenario: a mistake on a line with a secret. Guarantees: the log shows the line without it.
    @Test(arguments: [
        ("password: hunter2", 1, "password: [REDACTED]"),
        ("  headers: {authorization: \"Bearer x, y\", a: hunter2}", 1, "  headers: [REDACTED]"),
        ("headers:\n  x-scope: hunter2", 2, "  x-scope: [REDACTED]"),
        ("key_pem: |\n  hunter2\n  hunter2=", 3, "  [REDACTED]"),
        ("{api_key: hunter2, b: c}", 1, "{api_key: [REDACTED], b: c}"),
        ("headers:\n- name: a\n  value: hunter2", 3, "  value: [REDACTED]"),
        ("bearer_token: \"hunter2\" # old", 1, "bearer_token: [REDACTED]"),
        ("proxy_url: \"http://me:hunter2@proxy:1\"", 1, "proxy_url: \"http://[REDACTED]@proxy:1\""),
        ("{a: socks5://me:hun@ter2@h/x@y, b: z@z}", 1, "{a: socks5://[REDACTED]@h/x@y, b: z@z}"),
        ("token_file: /run/x", 1, "token_file: /run/x"), ("endpoint: h:1", 1, "endpoint: h:1"),
        ("password:", 1, "password:"), ("headers:\n  a: b\nendpoint: h:1", 3, "endpoint: h:1"),
    ])
    func linesAreShownWithoutSecrets(yaml: String, line: Int, shown: String) {
        let text = ConfigText(name: "c", order: 0, text: yaml)
        let diagnostics = Diagnostics()
        diagnostics.error("wrong", at: ConfigOrigin(text: text, line: line, column: 1, width: 1))
        let second = diagnostics.render().split(separator: "\n")[1]
        #expect(second == "   \(line) | \(shown)")
    }
}
