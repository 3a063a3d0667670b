import Foundation
import Logging
import Service
import Synchronization
import Testing

/// Without these an operator's log tools cannot read the log, or a failing destination floods the disk.
@Suite struct CollectorLogHandlerTests {
    @Test func consoleLinesLookLikeTheCollectors() throws {
        let log = try TestLog { $0.initialFields = ["instance": "a"] }
        log.logger[metadataKey: "kind"] = "exporter"
        log.logger[metadataKey: "name"] = "otlp_grpc/tempo"
        log.logger.warning(
            "Export failed, retrying.",
            metadata: ["interval": "5s", "attempts": .stringConvertible(3), "kind": "receiver"],
            file: "OTLPExporter/Sender.swift", line: 12)
        log.logger.info("Ready.\n\tNow", file: "a", line: 1)
        #expect(
            try log.text() == """
                2026-11-23T10:00:00.042Z\twarn\tOTLPExporter/Sender.swift:12\tExport failed, retrying.\t\
                {"attempts": 3, "instance": "a", "interval": "5s", "kind": "receiver", "name": "otlp_grpc/tempo"}
                2026-11-23T10:00:00.042Z\tinfo\ta:1\tReady.\\n\\tNow\t\
                {"instance": "a", "kind": "exporter", "name": "otlp_grpc/tempo"}

                """)
    }

    @Test func consoleLinesWithoutFieldsEndAfterTheMessage() throws {
        let log = try TestLog { $0.includesCaller = false }
        log.logger.error("No \"route\" to C:\\")
        #expect(try log.text() == "2026-11-23T10:00:00.042Z\terror\tNo \"route\" to C:\\\n")
    }

    /// Guarantees: each line is one JSON object whose text survives, whatever it holds.
    @Test func jsonLinesAreJSON() throws {
        let log = try TestLog {
            $0.encoding = .json
            $0.includesCaller = false
            $0.initialFields = ["zone": "eu"]
        }
        log.logger.log(
            level: .critical, "quote \" back \\ line\nbell \u{7} é 🙂",
            metadata: [
                "a": .array(["x", .stringConvertible(1.5), .stringConvertible(Double.nan)]),
                "d": .dictionary(["k\"": .stringConvertible(true)]),
                "n": .stringConvertible(-5),
            ])
        #expect(
            try log.text() == #"""
                {"level":"fatal","ts":"2026-11-23T10:00:00.042Z","msg":"quote \" back \\ line\nbell \u0007 é 🙂",\#
                "a":["x",1.5,"nan"],"d":{"k\"":true},"n":-5,"zone":"eu"}

                """#)
        let object = try JSONSerialization.jsonObject(with: Data(log.text().utf8)) as? [String: Any]
        #expect(object?["msg"] as? String == "quote \" back \\ line\nbell \u{7} é 🙂")
    }

    @Test func jsonLinesNameTheCallerAndTheError() throws {
        let log = try TestLog { $0.encoding = .json }
        log.logger.error("Failed.", error: LogOutputError.noPath, file: "M/F.swift", line: 3)
        #expect(
            try log.text() == #"""
                {"level":"error","ts":"2026-11-23T10:00:00.042Z","caller":"M/F.swift:3","msg":"Failed.",\#
                "error":"service::telemetry::logs::output_paths is empty; name stderr, stdout or a file."}

                """#)
    }

    @Test(arguments: [
        ("DEBUG", "debug info warn error fatal"), ("info", "info warn error fatal"),
        ("WARN", "warn error fatal"), ("Error", "error fatal"), ("FATAL", "fatal"), ("dpanic", "fatal"),
    ])
    func levelsBelowAreLeftOut(name: String, written: String) throws {
        let level = try #require(LogSettings.level(named: name))
        let log = try TestLog {
            $0.level = level
            $0.includesCaller = false
        }
        log.logger.debug("m")
        log.logger.info("m")
        log.logger.warning("m")
        log.logger.error("m")
        log.logger.critical("m")
        let levels = try log.text().split(separator: "\n").map { $0.split(separator: "\t")[1] }
        #expect(levels.joined(separator: " ") == written)
        #expect(LogSettings.level(named: "verbose") == nil)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"), (1_709_210_096_789, "2024-02-29T12:34:56.789Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func timestampsAreUTC(unixMilliseconds: Int64, text: String) throws {
        let log = try TestLog()
        log.time.now.store(unixMilliseconds, ordering: .relaxed)
        log.logger.info("m")
        #expect(try log.text().hasPrefix(text + "\t"))
    }

    /// Scenario: one message 1000 times in a tick, another twice, then the first again in the next tick.
    /// Guarantees: the first 10, then every 100th; other messages and other levels count for themselves.
    @Test func repetitionsAreThinnedOut() throws {
        let log = try TestLog()
        for number in 1...1000 {
            log.logger.warning("again", metadata: ["n": .stringConvertible(number)])
        }
        log.logger.error("again")
        log.logger.warning("other")
        let expected = (1...10).map(String.init) + (1...9).map { String(10 + $0 * 100) }
        let numbers = try log.text().split(separator: "\n").compactMap { line in
            line.split(separator: "\t").last?.split(separator: ": ").dropFirst().first?.dropLast()
        }
        #expect(numbers.map(String.init) == expected)
        #expect(try log.lineCount() == 19 + 2)

        log.time.now.add(9_999, ordering: .relaxed)
        log.logger.warning("again")
        #expect(try log.lineCount() == 21)
        log.time.now.add(1, ordering: .relaxed)
        log.logger.warning("again")
        #expect(try log.lineCount() == 22)
    }

    @Test func withoutSamplingEveryLineIsWritten() throws {
        let log = try TestLog { $0.sampling = nil }
        for _ in 0..<500 { log.logger.info("again") }
        #expect(try log.lineCount() == 500)
    }

    /// Guarantees: ten thousand different messages neither grow without end nor silence one another at once.
    @Test func manyDifferentMessagesShareACount() throws {
        let log = try TestLog()
        for number in 0..<10_000 { log.logger.info("message \(number)") }
        #expect(try log.lineCount() == 4096 + 10 + (10_000 - 4096 - 10) / 100)
    }

    /// Guarantees: lines of several threads never mix.
    @Test func linesStayWholeAcrossThreads() throws {
        let log = try TestLog {
            $0.sampling = nil
            $0.includesCaller = false
        }
        let logger = log.logger
        let message = String(repeating: "x", count: 5000)
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            for _ in 0..<50 { logger.info("\(message)") }
        }
        let lines = try log.text().split(separator: "\n")
        #expect(lines.count == 200)
        #expect(lines.allSatisfy { $0 == "2026-11-23T10:00:00.042Z\tinfo\t\(message)" })
    }

    @Test func everyPathGetsEveryLineAndFilesAreContinued() throws {
        let first = temporaryPath()
        let second = temporaryPath()
        defer {
            unlink(first)
            unlink(second)
        }
        for _ in 0..<2 {
            var settings = LogSettings()
            settings.outputPaths = [first, second]
            let logger = Logger(label: "test") { _ in handler(settings) }
            logger.info("m")
        }
        for path in [first, second] {
            #expect(try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").count == 2)
        }
    }

    @Test func aPathThatCannotBeOpenedIsNamed() {
        var settings = LogSettings()
        settings.outputPaths = ["stderr", "/nowhere/at/all.log"]
        #expect(throws: LogOutputError.cannotOpen(path: "/nowhere/at/all.log", errno: 2)) {
            _ = try LogOutput(settings)
        }
        settings.outputPaths = []
        #expect(throws: LogOutputError.noPath) { _ = try LogOutput(settings) }
    }

    @Test func aFullDiskIsCounted() throws {
        var settings = LogSettings()
        settings.outputPaths = ["/dev/full"]
        let output = try LogOutput(settings)
        Logger(label: "test") { _ in CollectorLogHandler(output) }.info("m")
        #expect(output.lostLines == 1)
    }
}

/// A logger that writes to a file of its own at a time that the test sets.
private final class TestLog {
    final class Time: Sendable {
        let now = Atomic<Int64>(1_795_428_000_042)
    }

    var logger: Logger
    let time = Time()
    let path = temporaryPath()

    init(_ change: (inout LogSettings) -> Void = { _ in }) throws {
        var settings = LogSettings()
        change(&settings)
        settings.outputPaths = [path]
        let output = try LogOutput(settings) { [time] in
            time.now.load(ordering: .relaxed) * 1_000_000
        }
        logger = Logger(label: "test") { _ in CollectorLogHandler(output) }
    }

    deinit {
        unlink(path)
    }

    func text() throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }

    func lineCount() throws -> Int {
        try text().split(separator: "\n").count
    }
}

private func handler(_ settings: LogSettings) -> any LogHandler {
    do {
        return CollectorLogHandler(try LogOutput(settings))
    } catch {
        preconditionFailure("\(error)")
    }
}

private func temporaryPath() -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("sluice-log-\(UUID().uuidString)").path
}
