import Foundation
import OTLP
import Testing

@testable import Statements

/// Random texts and random calls with extreme values. Whatever a configuration says and whatever a record holds, the gateway
/// must not fall over. `FUZZ_SECONDS` in the environment makes it run longer; see `Tests/fuzz/statements`.
@Suite("random statements")
struct StatementFuzzTests {
    /// The same sequence in every run, but for `FUZZ_SEED`.
    private struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 33
        }

        mutating func pick<Element>(_ list: [Element]) -> Element { list[Int(next() % UInt64(list.count))] }
    }

    private static let seconds = Double(ProcessInfo.processInfo.environment["FUZZ_SECONDS"] ?? "") ?? 2
    private static let seed = UInt64(ProcessInfo.processInfo.environment["FUZZ_SEED"] ?? "") ?? 1

    private static let words = [
        "set(", "(", ")", "[", "]", "{", "}", ",", ".", ":", "=", "==", "!=", "<", ">=", "=>", "+", "-", "*",
        "/", "where ", "and ",
        "or ", "not ", "true", "false", "nil", "0x", "0xff", "1", "9223372036854775807", "1.5", ".5", "1.",
        "\"a\"", "\"\\x41\"", "\"",
        "\\", "\u{1F600}", "attributes", "attributes[\"i\"]", "body", "cache", "resource.attributes",
        "IsMatch", "Concat",
        "SEVERITY_NUMBER_INFO", " ", "\n", "_", "span.name", "time", "Len(", "\u{0}",
    ]

    private static let values = [
        "nil", "true", "0", "1", "-1", "9223372036854775807", "-9223372036854775807", "0.0", "1.5",
        "-1.7976931348623157e308", "\"\"",
        "\"a\"", "\"9999999999999999999\"", "\"\\xff\\xfe\"", "0x00", "[]", "[1, \"a\", nil]", "{}",
        "{\"k\": [1]}", "attributes",
        "attributes[\"l\"]", "attributes[\"none\"]", "attributes[\"m\"]", "body", "Now()",
        "Duration(\"-2562047h47m16s\")",
        "Unix(9223372036854775807, 9223372036854775807)", "Unix(-9223372036854775807)", "\"%{NUMBER:n:int}\"",
        "\"%99999999d%s%v\"",
        "\"<a><b x='1'>&amp;</b></a>\"", "\"/a//b[@x]\"", "\"2024-01-01\"", "\"%Y-%m-%dT%H:%M:%S\"",
        "\"(a|b)*\"", "\"1,\\\"2\"", "\",\"",
        "\"https://u:p@h:1/p?q#f\"", "TraceID(0x0102030405060708090a0b0c0d0e0f10)", "IsRootSpan()", "1 + 2",
        "-(1)", "\"base64\"",
        "\"delta\"", "\"asc\"", "16", "SHA256", "\"upsert\"",
    ]

    private func run(_ statement: String) {
        let groups = try? StatementGroup(
            statements: [statement], context: .log, signal: .logs, errorMode: .ignore)
        if groups != nil { _ = try? Evaluated([statement]) }
    }

    @Test("texts of random words")
    func texts() {
        var random = Random(state: Self.seed)
        let end = Date(timeIntervalSinceNow: Self.seconds)
        var count = 0
        while Date() < end {
            var text = ""
            for _ in 0..<Int(random.next() % 24) { text += random.pick(Self.words) }
            run(text)
            count += 1
        }
        #expect(count > 10)
    }

    @Test("every function with random arguments")
    func calls() {
        var random = Random(state: Self.seed + 1)
        let table = FunctionTable.transform(.log)
        let names = table.names.sorted()
        let end = Date(timeIntervalSinceNow: Self.seconds)
        var count = 0
        while Date() < end {
            let name = random.pick(names)
            let parameters = table[name]?.parameters ?? []
            let required = parameters.count { !$0.isOptional }
            let wanted = required + Int(random.next() % UInt64(parameters.count - required + 1))
            var arguments: [String] = []
            for parameter in parameters.prefix(wanted) {
                if case .path = parameter.kind {
                    arguments.append(
                        random.pick(["attributes", "attributes[\"l\"]", "body", "time", "cache[\"x\"]"]))
                } else {
                    arguments.append(random.pick(Self.values))
                }
            }
            let call = "\(name)(\(arguments.joined(separator: ", ")))"
            run(table[name]?.isEditor == true ? call : "set(attributes[\"r\"], \(call))")
            run(
                "set(attributes[\"r\"], String(\(random.pick(Self.values)) \(random.pick(["+", "-", "*", "/"])) \(random.pick(Self.values))))"
            )
            count += 1
        }
        #expect(count > 10)
    }
}
