package import Configuration
package import OTLP
package import Statements

/// A file of tests of a configuration: requests, and what must come out of a pipeline for them.
package struct TrialFile: Sendable {
    /// One entry of `tests`.
    package struct Case: Sendable {
        package let name: String
        package let pipeline: String
        package let input: Content
        /// What must come out, exactly; nil when only conditions are asked.
        package let expected: Content?
        /// How many items must come out.
        package let items: Int?
        /// Conditions that must hold for everything of their context, for something, for nothing.
        package let all: [LocatedText]
        package let any: [LocatedText]
        package let none: [LocatedText]
    }

    /// OTLP JSON.
    package enum Content: Sendable {
        case text(String)
        /// Relative to the test file.
        case file(String)
    }

    /// What `--config` would name, relative to the test file.
    package let configurations: [String]
    package let cases: [Case]

    /// Reads a file; problems go to the section's diagnostics.
    package init(_ section: ConfigSection) {
        configurations = section.stringList("config")
        if configurations.isEmpty, !section.isBroken("config") {
            section.report(
                "config", error: "is missing", help: "name the configuration: config: gateway.yaml")
        }
        cases = (section.sectionList("tests") ?? []).compactMap(Self.read)
        if cases.isEmpty, !section.diagnostics.hasErrors {
            section.report(
                "tests", error: "there are no tests", help: "write a list of sections with name and pipeline")
        }
        section.finish()
    }

    private static func read(_ section: ConfigSection) -> Case? {
        let name = section.optionalString("name")
        let pipeline = section.optionalString("pipeline")
        let input = content(section, "input")
        let expected = content(section, "expect")
        let items = section.optionalInt("items")
        let all = section.locatedTexts("all") ?? []
        let any = section.locatedTexts("any") ?? []
        let none = section.locatedTexts("none") ?? []
        guard let name, let pipeline, let input else {
            section.report(nil, error: "name, pipeline and one of input, input_file are needed")
            return nil
        }
        if expected == nil, items == nil, all.isEmpty, any.isEmpty, none.isEmpty {
            section.report(
                nil, error: "the test expects nothing",
                help: "write expect, expect_file, items, all, any or none")
        }
        return Case(
            name: name, pipeline: pipeline, input: input, expected: expected, items: items, all: all,
            any: any,
            none: none)
    }

    private static func content(_ section: ConfigSection, _ key: String) -> Content? {
        let file = section.optionalString(key + "_file")
        guard let value = section.anyValue(key) else { return file.map { .file($0) } }
        if file != nil {
            section.report(key, error: "\(key) and \(key)_file are both given", help: "leave one out")
        }
        if case .string(let text) = value { return .text(text) }
        return .text(json(value))
    }

    /// A section of YAML as JSON.
    private static func json(_ value: ConfigValue) -> String {
        switch value {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return "\(value)"
        case .double(let value): return String(decoding: ShortestDecimal.json(value), as: UTF8.self)
        case .string(let text): return quoted(text)
        case .list(let items): return "[" + items.map(json).joined(separator: ",") + "]"
        case .map(let entries):
            return "{" + entries.map { quoted($0.key) + ":" + json($0.value) }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var output = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output + "\""
    }
}

/// Asks conditions of what came out of a pipeline.
package struct OutputCheck {
    private let request: [UInt8]
    private let signal: Signal

    package init(_ request: [UInt8], _ signal: Signal) { (self.request, self.signal) = (request, signal) }

    /// How often a condition was asked, and for how many it held.
    package struct Count: Sendable, Equatable {
        package var asked = 0
        package var held = 0
    }

    /// Spans, data points or log records.
    package var items: Int {
        // SAFETY: borrowed for the call. A request without bytes has no items.
        (unsafe try? request.withUnsafeBytes { unsafe try summarize($0, as: signal).items }) ?? 0
    }

    /// - Throws: the condition is none.
    package func count(_ text: String) throws(StatementError) -> Count {
        let condition = try Condition(text, in: signal)
        let editor = RequestEditor()
        var count = Count()
        unsafe request.withUnsafeBytes { bytes in
            // SAFETY: the editor is not used after the call.
            unsafe editor.open(WireBytes(bytes))
            Frame(editor).forEach(condition.context) { frame in
                count.asked += 1
                if (try? condition.holds(frame)) == true { count.held += 1 }
            }
        }
        return count
    }
}
