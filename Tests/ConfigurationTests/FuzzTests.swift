import Configuration
import Testing

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A small generator with a seed, so that a failure can be repeated.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

@Suite("Any text at all")
struct FuzzTests {
    private static let seeds =
        [smallest] + BrokenFile.all.map(\.yaml) + [
            "a: &x {b: [1, 2]}\nc: *x\nd: {<<: *x}\n", "a: |\n  text\nb: >-\n  folded\n", "? a\n: b\n",
            "!!str a: !x b\n",
            "--- {a: \"\\u00e9\\x41\"}\n...\n", "v: ${env:A:-${env:B:-$${c}}}-${yaml:[1]}${file:/f}\n",
        ]

    private static let pieces = [
        ":", ": ", "\n", "\n  ", "- ", "[", "]", "{", "}", "\"", "'", "#", "&a ", "*a", "<<: ", "!", "!!int ",
        "|", ">", "%",
        "@", "`", "\t", "${", "${env:A}", "$$", "::", ",", "?", "---\n", "...\n", "0x", "1e999", "-", "~",
        "\u{0}",
        "\u{feff}", "\u{85}", "\u{2028}", "\u{1F600}", "e\u{301}", "\r", "\r\n", "\u{7f}", "otlp", "service",
        "pipelines",
    ]

    private static func mutated(_ random: inout SplitMix) -> String {
        var text = Array(seeds.randomElement(using: &random, or: "").unicodeScalars)
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            let start = Int.random(in: 0...text.count, using: &random)
            let end = min(text.count, start + Int.random(in: 0...12, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: text.removeSubrange(start..<end)
            case 1:
                text.insert(contentsOf: text[start..<end], at: Int.random(in: 0...text.count, using: &random))
            case 2:
                text.insert(
                    contentsOf: pieces.randomElement(using: &random, or: "").unicodeScalars, at: start)
            default:
                let other = Array(seeds.randomElement(using: &random, or: "").unicodeScalars)
                let from = Int.random(in: 0...other.count, using: &random)
                text.replaceSubrange(start..<end, with: other[from..<min(other.count, from + 20)])
            }
        }
        return String(String.UnicodeScalarView(text))
    }

    /// One text through everything: it gives a configuration or an error, and its messages can be printed.
    private static func check(_ text: String, _ seed: UInt64) {
        let diagnostics = Diagnostics()
        let config = load(
            text, variables: ["A": "1", "B": "${env:A}", "C": text], files: ["/f": text],
            diagnostics: diagnostics)
        if let config {
            readComponents(config)
            let printed = config.printed(.yaml, redacted: false)
            let again = Diagnostics()
            let same = load(printed, diagnostics: again)
            #expect(
                same?.printed(.yaml, redacted: false) == printed,
                "seed \(seed): printing is not stable: \(text)")
            _ = config.printed(.json, redacted: true)
        } else {
            #expect(diagnostics.hasErrors, "seed \(seed): neither a configuration nor an error: \(text)")
        }
        _ = diagnostics.render()
    }

    @Test("mutated files give a configuration or an error, never a crash")
    func mutations() {
        var random = SplitMix(state: 1)
        for round in 0..<400 {
            let seed = random.state
            Self.check(Self.mutated(&random), seed)
            if round == 0 { Self.check("", seed) }
        }
        // SAFETY of reading the environment: nothing here changes it.
        guard let seconds = getenv("SLUICE_FUZZ_SECONDS").flatMap({ Int(String(cString: $0)) }) else {
            return
        }
        random.state = UInt64.random(in: 0...UInt64.max)
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            let seed = random.state
            Self.check(Self.mutated(&random), seed)
        }
    }
}

extension Array {
    fileprivate func randomElement(using random: inout SplitMix, or empty: Element) -> Element {
        randomElement(using: &random) ?? empty
    }
}
