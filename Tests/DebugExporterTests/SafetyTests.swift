import OTLP
import Pipeline
import Synchronization
import TestSupport
import Testing

@testable import DebugExporter

/// Without these a client could write the operator's log, or stop the gateway through it.
@Suite struct SafetyTests {
    /// Scenario: a name that imitates a log line, and one that commands the terminal.
    /// Guarantees: telemetry never starts a line or reaches the terminal as a command.
    @Test(arguments: [
        ("a\n2026-01-01T00:00:00Z\terror\tforged", #"a\n2026-01-01T00:00:00Z\terror\tforged"#),
        ("a\rb", #"a\rb"#), ("\u{1B}[2J", #"\u001b[2J"#), ("\u{7F}\u{0}", #"\u007f\u0000"#),
        ("\u{9B}31m", #"\u009b31m"#), ("a\u{85}b", #"a\u0085b"#), ("a\u{2028}b\u{2029}", #"a\u2028b\u2029"#),
        ("é€🙂\u{A0}\u{2027}\u{202A}", "é€🙂\u{A0}\u{2027}\u{202A}"), (#"back\slash"#, #"back\slash"#),
    ])
    func aLineCannotBeForged(name: String, shown: String) throws {
        let request = request {
            $0.message(2) {
                $0.text(5, name)
                $0.attribute(9, name, name)
                $0.message(9) {
                    $0.text(1, "map")
                    $0.message(2) { $0.message(6) { $0.attribute(1, name, 1) } }
                }
            }
        }
        let detailed = try text(.traces, request, detailed: true)
        #expect(detailed.contains("    Name           : \(shown)\n"))
        #expect(detailed.contains("     -> \(shown): Str(\(shown))\n"))
        let json = shown == name ? shown.split(separator: #"\"#).joined(separator: #"\\"#) : shown
        #expect(detailed.contains(#"     -> map: Map({"\#(json)":1})"#))
        let normal = try text(.traces, request, detailed: false)
        #expect(normal.utf8.filter { $0 == UInt8(ascii: "\n") }.count == 3)
        #expect(normal.contains(" \(shown)=\(shown) map="))
    }

    /// Scenario: requests of every shape, whole, cut anywhere, and with bytes changed.
    /// Guarantees: no trap, and no control character but the ends of our lines.
    @Test(arguments: Signal.allCases, [true, false])
    func anyBytesAreShownSafely(signal: Signal, detailed: Bool) throws {
        var random = SeededRandom(seed: UInt64(signal.rawValue))
        for seed in 0..<150 as Range<UInt64> {
            let whole = RandomRequest.make(signal, seed: seed)
            try check(whole, signal, detailed)
            guard !whole.isEmpty else { continue }
            for _ in 0..<4 { try check(Array(whole.prefix(random.below(whole.count))), signal, detailed) }
            for _ in 0..<4 {
                var changed = whole
                for _ in 0...random.below(4) {
                    changed[random.below(changed.count)] = UInt8(truncatingIfNeeded: random.next())
                }
                try check(changed, signal, detailed)
            }
        }
    }

    private func check(_ bytes: [UInt8], _ signal: Signal, _ detailed: Bool) throws {
        let batch = batch(signal, [bytes])
        _ = BatchText.summary(of: batch)
        let parts = Mutex<[UInt8]>([])
        var writer = TextWriter { text in parts.withLock { $0 += text } }
        BatchText.write(batch, detailed: detailed, to: &writer)
        _ = try writer.finish()
        let text = parts.withLock { $0 }
        #expect(text.allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || $0 == UInt8(ascii: "\n") })
    }

    /// Scenario: a valid request.
    /// Guarantees: as many items are shown as there are.
    @Test(arguments: [(Signal.traces, "Span #"), (.logs, "LogRecord #"), (.metrics, "DataPoints #")])
    func everyItemIsShown(signal: Signal, title: String) throws {
        for seed in 0..<100 as Range<UInt64> {
            let bytes = RandomRequest.make(signal, seed: seed)
            let items = try bytes.withUnsafeBytes { try summarize($0, as: signal).items }
            let lines = try text(signal, bytes, detailed: true).split(separator: "\n")
            let shown = lines.filter { line in
                line.hasPrefix(title) || (signal == .metrics && !line.hasPrefix(" ") && line.contains(title))
            }
            #expect(shown.count == items, "seed \(seed)")
        }
    }

    /// Scenario: many items, one enormous value, and one enormous line of control characters.
    /// Guarantees: the text is handed on in parts of bounded size, cut between characters.
    @Test func partsAreBounded() throws {
        let attribute = String(repeating: "€\u{1}", count: 1_000_000)
        let large = request {
            for _ in 0..<3000 { $0.message(2) { $0.text(5, "span") } }
            $0.message(2) { $0.text(5, attribute) }
        }
        let parts = Mutex<[[UInt8]]>([])
        var writer = TextWriter { text in parts.withLock { $0.append(text) } }
        BatchText.write(batch(.traces, [large]), detailed: true, to: &writer)
        #expect(try writer.finish())
        let all = parts.withLock { $0 }
        #expect(all.count > 10)
        #expect(all.allSatisfy { $0.count <= TextWriter.lineBytesMax + TextWriter.partBytes })
        #expect(all.allSatisfy { String(validating: $0, as: UTF8.self) != nil })
        let escaped = attribute.utf8.count + 5 * 1_000_000
        #expect(all.reduce(0) { $0 + $1.count } > escaped)
    }

    @Test func afterAFailureNothingIsWritten() {
        let calls = Mutex(0)
        let error = DebugOutputError.cannotWrite(path: "stdout", errno: 32)
        var writer = TextWriter { (_) throws(DebugOutputError) in
            calls.withLock { $0 += 1 }
            throw error
        }
        for _ in 0..<3 {
            writer.put(String(repeating: "x", count: TextWriter.partBytes))
            writer.endLine()
        }
        #expect(throws: error) { try writer.finish() }
        #expect(calls.withLock { $0 } == 1)
    }
}
