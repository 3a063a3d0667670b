import Configuration
import OTLP
import Service
import Statements

#if canImport(Glibc)
    import Glibc
#endif

extension Sluice {
    /// `sluice test`: whether pipelines give what files of tests say.
    static func test(_ arguments: Arguments) async throws(UsageError) -> Exit {
        guard !arguments.files.isEmpty else { throw UsageError(description: "test needs a FILE") }
        var results: [TestResult] = []
        for file in arguments.files {
            guard let found = await runTests(file) else { return .failed }
            results += found
        }
        let failed = results.filter { $0.failure != nil }
        print("\(results.count) tests, \(failed.count) failed")
        if let path = arguments.value("--junit"), !writeFile(path, JUnit.text(results)) {
            complain("sluice: cannot write \(path): \(String(errno: errno))")
            return .failed
        }
        return failed.isEmpty ? .ok : .failed
    }

    /// Nil when the file, or the configuration that it names, is wrong.
    private static func runTests(_ path: String) async -> [TestResult]? {
        guard let bytes = readFile(path) else {
            complain("sluice: cannot read \(path): \(String(errno: errno))")
            return nil
        }
        let diagnostics = Diagnostics()
        let file = TrialFile(
            ConfigSection(yaml: String(decoding: bytes, as: UTF8.self), name: path, diagnostics: diagnostics))
        var plan: GatewayPlan?
        if !diagnostics.hasErrors {
            let sources = file.configurations.map { ConfigSource(relative($0, to: path)) }
            plan = GatewayPlan.load(sources: sources, diagnostics: diagnostics)?.plan
        }
        let problems = diagnostics.render()
        if !problems.isEmpty { complain(problems) }
        guard let plan else { return nil }
        var results: [TestResult] = []
        for test in file.cases {
            var failure: String?
            do throws(PipelineTrial.Problem) {
                failure = try await run(test, plan, path)
            } catch {
                failure = error.description
            }
            print("\(failure == nil ? "ok    " : "FAILED") \(path): \(test.name)")
            if let failure {
                print(failure.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n"))
            }
            results.append(TestResult(file: path, name: test.name, failure: failure))
        }
        return results
    }

    /// What is not as expected; nil when everything is.
    private static func run(
        _ test: TrialFile.Case, _ plan: GatewayPlan, _ path: String
    ) async throws(PipelineTrial.Problem) -> String? {
        let trial = try PipelineTrial(plan, pipeline: test.pipeline, logger: trialLogger())
        let signal = trial.signal
        let output = try await trial.run(PipelineTrial.request(json: content(test.input, path), signal))
        var failures: [String] = []
        if let expected = test.expected {
            let wanted = try PipelineTrial.request(json: content(expected, path), signal)
            let difference = TextDiff.unified(
                PrettyJSON.text(PipelineTrial.json(wanted, signal)),
                PrettyJSON.text(PipelineTrial.json(output, signal)))
            if !difference.isEmpty { failures.append("expected (-) and found (+) differ:\n" + difference) }
        }
        let check = OutputCheck(output, signal)
        if let items = test.items, items != check.items {
            failures.append("expected \(items) items, found \(check.items)")
        }
        do throws(StatementError) {
            for text in test.all {
                let count = try check.count(text.text)
                if count.held < count.asked {
                    failures.append(
                        "does not hold for \(count.asked - count.held) of \(count.asked): \(text.text)")
                }
            }
            for text in test.any where try check.count(text.text).held == 0 {
                failures.append("holds for nothing: \(text.text)")
            }
            for text in test.none {
                let count = try check.count(text.text)
                if count.held > 0 {
                    failures.append("holds for \(count.held) of \(count.asked): \(text.text)")
                }
            }
        } catch {
            failures.append("this is no condition: \(error)")
        }
        return failures.isEmpty ? nil : failures.joined(separator: "\n")
    }

    private static func content(
        _ content: TrialFile.Content, _ path: String
    ) throws(PipelineTrial.Problem) -> [UInt8] {
        switch content {
        case .text(let text): return Array(text.utf8)
        case .file(let name):
            guard let bytes = readFile(relative(name, to: path)) else {
                throw PipelineTrial.Problem(
                    "cannot read \(relative(name, to: path)): \(String(errno: errno))")
            }
            return bytes
        }
    }

    private static func relative(_ name: String, to path: String) -> String {
        guard !name.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return name }
        return path[...slash] + name
    }
}

/// How one test ended.
struct TestResult {
    let file: String
    let name: String
    /// Nil when it passed.
    let failure: String?
}

/// JUnit's XML, which build servers show.
enum JUnit {
    static func text(_ results: [TestResult]) -> String {
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        text +=
            "<testsuites tests=\"\(results.count)\" failures=\"\(results.count { $0.failure != nil })\">\n"
        var files: [String] = []
        for result in results where !files.contains(result.file) { files.append(result.file) }
        for file in files {
            let own = results.filter { $0.file == file }
            text += "  <testsuite name=\"\(escaped(file))\" tests=\"\(own.count)\" "
            text += "failures=\"\(own.count { $0.failure != nil })\">\n"
            for result in own {
                text += "    <testcase classname=\"\(escaped(file))\" name=\"\(escaped(result.name))\""
                if let failure = result.failure {
                    text +=
                        ">\n      <failure message=\"not as expected\">\(escaped(failure))</failure>\n    </testcase>\n"
                } else {
                    text += "/>\n"
                }
            }
            text += "  </testsuite>\n"
        }
        return text + "</testsuites>\n"
    }

    private static func escaped(_ text: String) -> String {
        var output = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": output += "&lt;"
            case ">": output += "&gt;"
            case "&": output += "&amp;"
            case "\"": output += "&quot;"
            case "\n", "\t": output.unicodeScalars.append(scalar)
            case "\u{0}"..."\u{1F}": output += "?"
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output
    }
}

/// Whether a file could be written whole.
func writeFile(_ path: String, _ text: String) -> Bool {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return false }
    defer { _ = close(descriptor) }
    var left = Array(text.utf8)[...]
    while !left.isEmpty {
        // SAFETY: the bytes live through the call.
        let count = unsafe left.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return false }
        left = left.dropFirst(count)
    }
    return true
}

extension String {
    /// What the system says of an error number.
    init(errno code: Int32) {
        // SAFETY: strerror gives a text for every number; it is copied at once.
        self = unsafe String(cString: strerror(code))
    }
}
