import ArgumentParser
import Configuration
import Logging
import NIOCore
import Service
import UnixSignals

#if canImport(Glibc)
    import Glibc
#endif

/// The gateway's version.
let version = "0.1.0"

@main
struct Sluice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "An OTLP gateway that runs the OpenTelemetry Collector's configuration.",
        version: "sluice version \(version)",
        subcommands: [Run.self, Validate.self, Components.self, PrintConfig.self, Version.self],
        defaultSubcommand: Run.self)
}

/// The options that name a configuration.
struct ConfigOptions: ParsableArguments {
    @Option(
        name: .long, parsing: .singleValue,
        help: "A configuration: a path, file:PATH, env:NAME or yaml:TEXT. Later ones are merged over earlier ones.")
    var config: [String] = []

    @Option(name: .long, parsing: .singleValue, help: "A value over all configurations: a.b.c=VALUE.")
    var set: [String] = []

    /// The plan and the configuration, or the end of the process with all problems on standard error.
    func load() throws -> (plan: GatewayPlan, config: GatewayConfig) {
        guard !config.isEmpty else {
            complain("no configuration: give --config FILE")
            throw ExitCode(1)
        }
        let diagnostics = Diagnostics()
        let loaded = GatewayPlan.load(
            sources: config.map { ConfigSource($0) }, overrides: set, diagnostics: diagnostics)
        let problems = diagnostics.render()
        if !problems.isEmpty { complain(problems) }
        guard let loaded else { throw ExitCode(1) }
        return loaded
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

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the gateway (the default).")

    @OptionGroup var options: ConfigOptions

    @Option(help: "Where /health/live and /health/ready are served; \"\" for nowhere. 0.0.0.0:8080 unless that is taken.")
    var healthEndpoint: String?

    @Option(help: "How long a stop may take before what is left is given up, in seconds.")
    var shutdownTimeout: Int = 25

    @Option(help: "Event loops; one a core by default.")
    var loops: Int?

    func validate() throws {
        guard shutdownTimeout > 0 else { throw ValidationError("--shutdown-timeout must be greater than 0") }
        guard loops.map({ $0 > 0 && $0 <= 1024 }) ?? true else { throw ValidationError("--loops must be 1 to 1024") }
    }

    func run() async throws {
        // A closed pipe is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let (plan, _) = try options.load()
        let logger: Logger
        do {
            logger = try makeLogger(plan.telemetry.logs)
        } catch {
            complain("\(error)")
            throw ExitCode(1)
        }
        let gateway: Gateway
        do {
            gateway = try Gateway(
                plan, version: version, probes: try probes(), loops: loops ?? System.coreCount, logger: logger)
            logger.info("Starting sluice...", metadata: ["Version": "\(version)", "NumCPU": "\(System.coreCount)"])
            _ = try await gateway.start()
        } catch let error as GatewayError {
            logger.critical("Cannot start.", metadata: ["error": "\(error)"])
            throw ExitCode(1)
        }
        logger.info("Everything is ready. Begin running and processing data.")
        for await signal in signals {
            logger.info("Received signal from OS", metadata: ["signal": "\(signal)"])
            break
        }
        let leftover = await gateway.stop(until: .now() + .seconds(Int64(shutdownTimeout)))
        for (exporter, items) in leftover.items.sorted(by: { $0.key < $1.key }) {
            logger.error(
                "Items were not delivered before the shutdown timeout and are lost.",
                metadata: ["exporter": "\(exporter)", "items": "\(items)"])
        }
        if leftover.connections > 0 {
            logger.warning("Connections were cut.", metadata: ["connections": "\(leftover.connections)"])
        }
        logger.info("Shutdown complete.")
        if !leftover.items.isEmpty { throw ExitCode(3) }
    }

    private func probes() throws -> Probes? {
        guard let healthEndpoint else { return Probes(host: "0.0.0.0", port: 8080, isRequired: false) }
        if healthEndpoint.isEmpty { return nil }
        do throws(EndpointProblem) {
            let endpoint = try EndpointConfig(healthEndpoint)
            return Probes(host: endpoint.host, port: endpoint.port, isRequired: true)
        } catch {
            throw ValidationError("--health-endpoint \(healthEndpoint): \(error.message)")
        }
    }
}

struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a configuration and say everything that is wrong with it.")

    @OptionGroup var options: ConfigOptions

    func run() throws {
        _ = try options.load()
    }
}

struct PrintConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "print-config",
        abstract: "Print the configuration as it takes effect: merged, overridden, expanded.")

    enum Mode: String, ExpressibleByArgument, CaseIterable {
        case redacted
        case unredacted
    }

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case yaml
        case json
    }

    @OptionGroup var options: ConfigOptions

    @Option(help: "Whether secrets are shown.")
    var mode = Mode.redacted

    @Option(help: "How it is written.")
    var format = Format.yaml

    func run() throws {
        let (_, config) = try options.load()
        print(config.printed(format == .json ? .json : .yaml, redacted: mode == .redacted), terminator: "")
    }
}

struct Components: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the component types that this version builds.")

    func run() {
        print("buildinfo:\n  command: sluice\n  version: \(version)")
        for kind in ComponentKind.allCases {
            let built = GatewayPlan.catalogue.all(kind).filter { $0.status == .built }
            print("\(kind.section):\(built.isEmpty ? " []" : "")")
            for entry in built {
                print("  - name: \(entry.type)")
                if entry.canonicalType != entry.type { print("    alias_of: \(entry.canonicalType)") }
                if !entry.signals.isEmpty {
                    print("    signals: [\(PipelineSignal.allCases.filter(entry.signals.contains).map(\.rawValue).joined(separator: ", "))]")
                }
            }
        }
    }
}

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the version.")

    func run() {
        print("sluice version \(version)")
    }
}
