import Configuration
import Logging
import OTLP
import Service

#if canImport(Glibc)
    import Glibc
#endif

extension Sluice {
    /// `sluice transform`: what the processors of one pipeline make of a request.
    static func transform(_ arguments: Arguments) async throws(UsageError) -> Exit {
        guard let name = arguments.value("--pipeline") else {
            throw UsageError(description: "transform needs --pipeline NAME")
        }
        let show = try arguments.choice("--show", of: ["both", "result", "diff"])
        guard let plan = try load(arguments)?.plan else { return .failed }
        do throws(PipelineTrial.Problem) {
            let trial = try PipelineTrial(plan, pipeline: name, logger: trialLogger())
            let request = try PipelineTrial.request(json: readAll(STDIN_FILENO), trial.signal)
            let output = try await trial.run(request)
            let old = PrettyJSON.text(PipelineTrial.json(request, trial.signal))
            let new = PrettyJSON.text(PipelineTrial.json(output, trial.signal))
            let difference = TextDiff.unified(old, new)
            if show != "diff" { print(new) }
            if show == "diff" { print(difference, terminator: "") }
            if show == "both" { complain(difference.isEmpty ? "nothing changed" : difference) }
            return .ok
        } catch {
            complain("sluice: \(error)")
            return .failed
        }
    }

    /// What processors say while they are tried goes to standard error, from warnings on.
    static func trialLogger() -> Logger {
        var logger = Logger(label: "sluice") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        return logger
    }
}

/// Everything that a file gives until its end.
func readAll(_ descriptor: Int32) -> [UInt8] {
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        // SAFETY: the room lives through the call.
        let count = unsafe room.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return bytes }
        bytes += room[..<count]
    }
}

/// The content of a file; nil when it cannot be read.
func readFile(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    return readAll(descriptor)
}
