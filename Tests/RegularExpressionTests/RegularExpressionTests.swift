import Testing

@testable import RegularExpression

@Suite struct RegularExpressionTests {
    /// A user whose `regex: web` also kept `web-canary` would scrape what he left out.
    @Test(arguments: [
        ("web", "web", true), ("web", "web-1", false), ("web|db", "db", true), ("", "", true),
        ("", "x", false),
        ("a.c", "a\nc", true), ("(?i)WEB", "web", true), ("pr.d-[0-9]+", "prod-17", true), (".*", "", true),
        ("müller", "müller", true), (".", "ü", true), ("a|b", "ab", false), ("^a$", "a", true),
    ])
    func wholeTextsMatch(pattern: String, text: String, matches: Bool) throws {
        let expression = try RegularExpression(pattern)
        #expect(expression.matches(text) == matches)
        #expect(expression.matches(Array(text.utf8).span) == matches)
    }

    /// A filter for a part of a log line would find nothing.
    @Test func occurrencesAreFound() throws {
        let expression = try RegularExpression("time ?out")
        #expect(expression.occurs(in: "a timeout after 3 s"))
        #expect(!expression.occurs(in: "tim eout"))
    }

    /// A filter by `^/api/` would keep what RE2 drops: what is compared without it must be what it says.
    @Test func textsThatPatternsBeginWithMatchAsRE2Does() throws {
        var random = SystemRandomNumberGenerator()
        let letters = ["a", "b", "ab", "/", "\\.", "\\-", "-", "\n"]
        let more = [
            ".", "[ab]", "a*", "b?", "a+", "(a|b)", "a{0,2}", "|b", "\\d", "\\b", "(?:a)", "ü", "(?i)*",
            "\\Q\\E*", "()?", "[a-b]+", "[^a]", "\\w*", "\\s+", "b+?", "[a\\-]?", "[-a]", "[a-]", "[ab", "]",
            "[\\d.]+",
            "[b-a]", "\\.+", "[0-9]*", "1", "a+",
        ]
        for round in 0..<12_000 {
            func some(_ most: Int, _ pieces: [String]) -> String {
                (0..<Int.random(in: 0...most, using: &random)).map { _ in
                    pieces.randomElement(using: &random) ?? ""
                }.joined()
            }
            let middle = round.isMultiple(of: 2) ? "" : some(2, more)
            let pattern =
                ["", "^"].randomElement()! + some(3, letters) + middle + ["", "$"].randomElement()!
            // Short texts are searched otherwise.
            let long = String(repeating: "xa", count: [0, 0, 0, 70, 150].randomElement(using: &random) ?? 0)
            let text = long + some(6, letters + ["ü", "1", "_ "]).replacing("\\", with: "")
            guard let expression = try? RegularExpression(pattern) else { continue }
            // Nothing is known of what a group begins with: RE2 searches.
            let reference = try RegularExpression("(?:\(pattern))")
            #expect(expression.occurs(in: text) == reference.occurs(in: text), "\(pattern) in \(text)")
            #expect(expression.matches(text) == reference.matches(text), "\(pattern) is \(text)")
            let utf8 = Array(text.utf8)
            #expect(
                expression.firstMatch(in: utf8).first == reference.firstMatch(in: utf8).first,
                "\(pattern) in \(text)")
            let template = RegularExpression.Template("<$0>", for: expression)
            #expect(
                try utf8.withUnsafeBufferPointer { try expression.replaceAll($0, with: template) }
                    == utf8.withUnsafeBufferPointer { try reference.replaceAll($0, with: template) },
                "\(pattern) in \(text)")
        }
    }

    /// A pattern of characters and sets is read without RE2, where it is known to end: a long text is not.
    @Test func aPatternThatBeginsOftenAndNeverEndsStaysLinear() throws {
        let expression = try RegularExpression("[ab]+/")
        for count in [255, 256, 257, 1_000_000] {
            let text = String(repeating: "ab", count: count / 2)
            #expect(!expression.occurs(in: text))
            #expect(expression.occurs(in: text + "/"))
        }
    }

    /// Relabelled addresses would point elsewhere.
    @Test(arguments: [
        ("(.*):(\\d+)", "host:9100", "$1:8080", "host:8080"),
        ("(.*):(\\d+)", "host:9100", "${1}x$2", "hostx9100"),
        ("(.*):(\\d+)", "host:9100", "$1x", ""),
        ("(.*)", "a", "$$1", "$1"), ("(.*)", "a", "$", "$"), ("(.*)", "a", "${1", "${1"),
        ("(.*)", "a", "cost: 5$ or ${}", "cost: 5$ or ${}"),
        ("(?P<host>[^:]+):.*", "db:5432", "${host}-$host", "db-db"),
        ("(a)|(b)", "b", "[$1][$2][$3]", "[][b][]"), (".*", "x", "constant", "constant"),
        ("(.*)", "ü", "<$0>", "<ü>"),
    ])
    func templatesAreFilled(pattern: String, text: String, template: String, result: String) throws {
        let expression = try RegularExpression(pattern)
        #expect(expression.replace(text, with: .init(template, for: expression)) == result)
    }

    @Test func whatDoesNotMatchIsNotReplaced() throws {
        let expression = try RegularExpression("a+")
        #expect(expression.replace("ab", with: .init("x", for: expression)) == nil)
    }

    /// A template without groups needs no match to be known.
    @Test(arguments: [("abc", "abc"), ("", ""), ("$7", ""), ("a$$b", "a$b")])
    func constantTemplatesAreKnown(template: String, constant: String) throws {
        #expect(RegularExpression.Template(template, for: try RegularExpression("(.*)")).constant == constant)
        #expect(
            RegularExpression.Template(template + "$1", for: try RegularExpression("(.*)")).constant == nil)
    }

    /// A broken pattern must be an error at the start, with the place in it.
    @Test(arguments: ["(a", "a)", "[z-a]", "a{2,1}", "*", "(?<x", "\\8", "(?=a)", "a**"])
    func brokenPatternsAreRefused(pattern: String) {
        #expect(throws: RegularExpressionError.self) { try RegularExpression(pattern) }
    }

    /// A pattern that explodes elsewhere must not stop an event loop.
    @Test func hostilePatternsStayLinear() throws {
        let expression = try RegularExpression("(a*)*b")
        #expect(!expression.matches(String(repeating: "a", count: 100_000)))
        #expect(throws: RegularExpressionError.self) { try RegularExpression("((a{100}){100}){100}") }
    }

    /// Each match is found only at the end of the text where one further left could still come about: a text of a client would hold
    /// its event loop for seconds, and the clients beside it wait. Usual patterns find everything in as long a text.
    @Test func matchesThatReadToTheEndAreNotLookedForWithoutEnd() throws {
        let text = Array(String(repeating: "token password=", count: 20_000).utf8)
        func replaced(_ pattern: String) throws -> Int? {
            let expression = try RegularExpression(pattern)
            let template = RegularExpression.Template("*", for: expression)
            return try text.withUnsafeBufferPointer { try expression.replaceAll($0, with: template)?.count }
        }
        let start = ContinuousClock.now
        let error = #expect(throws: RegularExpression.TooSlow.self) {
            try replaced("password=[^&]*&|token")
        }
        #expect(error?.description.contains("password=[^&]*&|token") == true)
        #expect(error?.description.contains("\(text.count) bytes") == true)
        #expect(ContinuousClock.now - start < .seconds(2))
        #expect(try replaced("password=[^& ]*|token") == 40_001)
        #expect(try replaced("(t)(o)(k)(e)(n) ") == 20_000 * 10)
        #expect(try replaced("[a-z]") == text.count)
    }

    /// A template of a client, of little more than the match a thousand times, would take all memory.
    @Test func oneMatchIsNotExpandedBeyondTheLimit() throws {
        let expression = try RegularExpression("a+")
        let template = RegularExpression.Template(String(repeating: "$0", count: 1000), for: expression)
        let text = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
        var isChanged = false
        let (plain, changed) = try text.withUnsafeBufferPointer { text in
            (
                try expression.replaceAll(text, with: template, limit: 5000),
                try expression.replaceAll(text, with: template, limit: 5000) { expanded in
                    isChanged = true
                    return expanded
                }
            )
        }
        #expect(plain?.count == 6000 && changed?.count == 6000)
        #expect(!isChanged)
    }

    /// More groups than fit the usual memory of a match: each is there, those that do not exist are empty.
    @Test func manyGroups() throws {
        let expression = try RegularExpression(String(repeating: "(a)", count: 60))
        let text = String(repeating: "a", count: 60)
        #expect(expression.replace(text, with: .init("$31,$32,$60,$61", for: expression)) == "a,a,a,")
    }
}
