import Configuration
import HTTP
import Logging
import NIOCore
import OTLP
import Service
import UnixSignals

#if canImport(Glibc)
    import Glibc
#endif

/// The gateway's version.
let version = "0.1.0"

/// How the process ends; anything but `ok` is an error.
enum Exit: Int32 {
    case ok = 0
    /// The configuration is wrong, or the gateway could not start.
    case failed = 1
    /// The command line is wrong.
    case usage = 2
    /// The gateway stopped with items that no destination had taken.
    case itemsLost = 3
}

@main
struct Sluice {
    static func main() async {
        let words = Array(CommandLine.arguments.dropFirst())
        let end: Exit
        do throws(UsageError) {
            end = try await perform(try Arguments(words))
        } catch {
            complain("sluice: \(error)\nsluice help lists the commands and options")
            end = .usage
        }
        exit(end.rawValue)
    }

    private static func perform(_ arguments: Arguments) async throws(UsageError) -> Exit {
        switch arguments.command {
        case .run: return try await run(arguments)
        case .validate: return try load(arguments) == nil ? .failed : .ok
        case .printConfig: return try printConfig(arguments)
        case .transform: return try await transform(arguments)
        case .test: return try await test(arguments)
        case .audit: return try audit(arguments)
        case .generate: try generate(arguments)
        case .components: printComponents()
        case .version: print("sluice version \(version)")
        case .help: print(Arguments.help, terminator: "")
        }
        return .ok
    }

    /// The configuration that the arguments name; nil when it is wrong, with all problems on standard error.
    static func load(
        _ arguments: Arguments
    ) throws(UsageError) -> (plan: GatewayPlan, config: GatewayConfig)? {
        let sources = arguments.all("--config")
        guard !sources.isEmpty else { throw UsageError(description: "no configuration: give --config FILE") }
        let diagnostics = Diagnostics()
        diagnostics.toleratesMissingFiles = arguments.command != .run
        for gate in arguments.all("--feature-gates").flatMap({ $0.split(separator: ",") }) {
            diagnostics.warning(
                "feature gate \"\(gate.drop { $0 == "+" || $0 == "-" })\" is unknown here and has no effect",
                help: "remove it")
        }
        let loaded = GatewayPlan.load(
            sources: sources.map { ConfigSource($0) }, overrides: arguments.all("--set"),
            diagnostics: diagnostics)
        let problems = diagnostics.render()
        if !problems.isEmpty { complain(problems) }
        return loaded
    }

    // MARK: - run

    private static func run(_ arguments: Arguments) async throws(UsageError) -> Exit {
        let timeout = try arguments.number("--shutdown-timeout", default: 25, in: 1...86_400)
        let loops = try arguments.number("--loops", default: System.coreCount, in: 1...1024)
        if arguments.value("--slowness") != nil {
            WorkBudget.slowness = try arguments.number("--slowness", default: 1, in: 1...1_000_000)
        }
        let probes = try probes(arguments)
        // A closed pipe and a file at its limit are errors of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        raiseFileLimit()
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        guard let plan = try load(arguments)?.plan else { return .failed }
        let logger: Logger
        let gateway: Gateway
        do {
            logger = try makeLogger(plan.telemetry.logs)
            gateway = try Gateway(plan, version: version, probes: probes, loops: loops, logger: logger)
        } catch {
            complain("sluice: cannot start: \(error)")
            return .failed
        }
        logger.info(
            "Starting sluice...", metadata: ["Version": "\(version)", "NumCPU": "\(System.coreCount)"])
        do {
            try await gateway.start()
        } catch {
            logger.critical("Cannot start.", metadata: ["error": "\(error)"])
            _ = await gateway.stop(until: .now() + .seconds(1))
            return .failed
        }
        logger.info("Everything is ready. Begin running and processing data.")
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        let watching = Task { await watch(signals, arguments, logger, gateway) { end.yield() } }
        defer { watching.cancel() }
        for await _ in ends { break }
        let overdue = Task {
            // What is being worked on when the time is over ends soon as a rule: each step of it is short.
            guard (try? await Task.sleep(for: .seconds(timeout) + Self.stopGrace)) != nil else { return }
            logger.error(
                "The gateway did not stop within its shutdown timeout; what was under way is lost.",
                metadata: ["timeout": "\(timeout) s"])
            exit(Exit.itemsLost.rawValue)
        }
        defer { overdue.cancel() }
        let leftover = await gateway.stop(until: .now() + .seconds(Int64(timeout)))
        for (exporter, items) in leftover.items.sorted(by: { $0.key < $1.key }) {
            logger.error(
                "Items were not delivered before the shutdown timeout and are lost.",
                metadata: ["exporter": "\(exporter)", "items": "\(items)"])
        }
        if leftover.connections > 0 {
            logger.warning("Connections were cut.", metadata: ["connections": "\(leftover.connections)"])
        }
        logger.info("Shutdown complete.")
        return leftover.items.isEmpty ? .ok : .itemsLost
    }

    /// How much longer than its timeout a stop may take before the process ends as it is.
    private static let stopGrace = Duration.seconds(3)

    /// Calls `end` at the first signal that asks for it; at the second one it ends the process.
    private static func watch(
        _ signals: UnixSignalsSequence, _ arguments: Arguments, _ logger: Logger, _ gateway: Gateway,
        end: () -> Void
    ) async {
        var isEnding = false
        for await signal in signals {
            logger.info("Received signal from OS", metadata: ["signal": "\(signal)"])
            if signal == .sighup {
                // What is wrong with the file is on standard error.
                let plan = ((try? load(arguments)) ?? nil)?.plan
                let isValid = plan != nil
                gateway.refuseReload(plan)
                logger.warning(
                    "A changed configuration needs a restart; what runs goes on as it was.",
                    metadata: ["valid": "\(isValid)"])
            } else if isEnding {
                // Who asks twice does not want to wait for what is under way.
                logger.warning("Stopping at once.")
                exit(Exit.itemsLost.rawValue)
            } else {
                isEnding = true
                end()
            }
        }
    }

    /// A connection is a file: as many as the system lets the process have, since the usual 1024 are soon used up.
    private static func raiseFileLimit() {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        // SAFETY: one structure, which outlives both calls. Without success the limit stays as it was.
        guard unsafe getrlimit(files, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(files, &limit)
    }

    private static func probes(_ arguments: Arguments) throws(UsageError) -> Probes? {
        guard let text = arguments.value("--health-endpoint") else {
            return Probes(host: "0.0.0.0", port: 8080, isRequired: false)
        }
        if text.isEmpty { return nil }
        do throws(EndpointProblem) {
            let endpoint = try EndpointConfig(text)
            return Probes(host: endpoint.host, port: endpoint.port, isRequired: true)
        } catch {
            throw UsageError(description: "--health-endpoint \"\(text)\" \(error.message)")
        }
    }

    // MARK: - The other commands

    private static func printConfig(_ arguments: Arguments) throws(UsageError) -> Exit {
        let mode = try arguments.choice("--mode", of: ["redacted", "unredacted"])
        let format = try arguments.choice("--format", of: ["yaml", "json"])
        guard let config = try load(arguments)?.config else { return .failed }
        print(config.printed(format == "json" ? .json : .yaml, redacted: mode == "redacted"), terminator: "")
        return .ok
    }

    private static func printComponents() {
        print("buildinfo:\n  command: sluice\n  version: \(version)")
        for kind in ComponentKind.allCases {
            let built = GatewayPlan.catalogue().built(kind)
            print("\(kind.section):\(built.isEmpty ? " []" : "")")
            for entry in built {
                print("  - name: \(entry.type)")
                if entry.canonicalType != entry.type { print("    alias_of: \(entry.canonicalType)") }
                guard !entry.signals.isEmpty else { continue }
                let signals = Signal.allCases.filter(entry.signals.contains).map(\.name)
                print("    signals: [\(signals.joined(separator: ", "))]")
            }
        }
    }
}

/// Writes to standard error.
func complain(_ text: String) {
    var left = Array((text.hasSuffix("\n") ? text : text + "\n").utf8)[...]
    while !left.isEmpty {
        // SAFETY: the bytes live through the call. Nobody can be told when standard error itself fails.
        let count = unsafe left.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        left = left.dropFirst(count)
    }
}
