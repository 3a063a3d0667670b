/// What was wrong with the command line, in a sentence.
struct UsageError: Error, CustomStringConvertible {
    let description: String
}

/// The command line, taken apart: `sluice [COMMAND] [--NAME VALUE | --NAME=VALUE]…`.
///
/// By hand: swift-argument-parser 1.8 adds 8.5 MB to the static binary and 6.7 million instructions to each start, and Go's
/// forms that the Collector takes (`-config`, `--set=a.b=c`, `--feature-gates -a,+b`) would still be ours to write.
struct Arguments {
    /// The commands, in the order of the help.
    enum Command: String, CaseIterable {
        case run
        case validate
        case components
        case printConfig = "print-config"
        case transform
        case test
        case audit
        case generate
        case version
        case help
    }

    /// An option: its name, what its value is called, what it does, and the commands that take it.
    struct Option {
        let name: String
        let value: String
        let help: String
        let commands: [Command]
        var repeats = false
    }

    static let options = [
        Option(
            name: "--config", value: "SOURCE",
            help:
                "A configuration: a path, file:PATH, env:NAME, yaml:TEXT or a URL. Later ones are merged over earlier ones.",
            commands: [.run, .validate, .printConfig, .transform], repeats: true),
        Option(
            name: "--set", value: "KEY=VALUE", help: "A value over all configurations: a.b.c=VALUE.",
            commands: [.run, .validate, .printConfig, .transform], repeats: true),
        Option(
            name: "--feature-gates", value: "GATES",
            help: "Accepted for the Collector's sake: none of its feature gates is known here.",
            commands: [.run, .validate, .printConfig, .transform], repeats: true),
        Option(
            name: "--pipeline", value: "NAME",
            help: "The pipeline whose processors are tried, such as traces or logs/2.", commands: [.transform]
        ),
        Option(
            name: "--show", value: "both|result|diff",
            help:
                "The result on standard output, the difference on standard error, or one of them on standard output. both.",
            commands: [.transform]),
        Option(
            name: "--signal", value: "traces|metrics|logs", help: "Of which signal the example is.",
            commands: [.generate]),
        Option(
            name: "--items", value: "NUMBER", help: "How many spans, metrics or log records it has. 6.",
            commands: [.generate]),
        Option(
            name: "--junit", value: "FILE", help: "Where the results are written as JUnit's XML, too.",
            commands: [.test]),
        Option(
            name: "--store", value: "STORE",
            help: "The audit log: the path of its SQLite database, or postgresql://…",
            commands: [.audit]),
        Option(
            name: "--keyring", value: "FILE",
            help: "The keys that count (verify): lines VERIFIER-KEY [FIRST-SIZE [LAST-SIZE]].",
            commands: [.audit]),
        Option(
            name: "--checkpoint", value: "FILE",
            help: "A checkpoint that was kept elsewhere, with which the log must agree, too (verify).",
            commands: [.audit], repeats: true),
        Option(
            name: "--key", value: "FILE",
            help: "The private key: where keygen writes it, and what export signs lines with.",
            commands: [.audit]),
        Option(
            name: "--origin", value: "NAME", help: "The log's name (keygen, export, detach).",
            commands: [.audit]),
        Option(
            name: "--as", value: "dsse|tiles",
            help:
                "What export makes: lines of DSSE on standard output, or a folder of C2SP tlog-tiles. dsse.",
            commands: [.audit]),
        Option(
            name: "--out", value: "FOLDER", help: "Where the tiles go (export, detach).", commands: [.audit]),
        Option(
            name: "--month", value: "YYYY-MM", help: "Until whose end entries are taken out (detach).",
            commands: [.audit]),
        Option(
            name: "--from", value: "NUMBER",
            help: "The first entry (export, tail). 1; for tail the tenth last.",
            commands: [.audit]),
        Option(
            name: "--to", value: "NUMBER", help: "The last entry (export). The newest.", commands: [.audit]),
        Option(
            name: "--follow", value: "yes|no", help: "Whether tail waits for more. yes.", commands: [.audit]),
        Option(
            name: "--health-endpoint", value: "HOST:PORT",
            help:
                "Where /health/live and /health/ready are served; \"\" for nowhere. 0.0.0.0:8080, unless that is taken.",
            commands: [.run]),
        Option(
            name: "--shutdown-timeout", value: "SECONDS",
            help: "How long a stop may take before what is left is given up. 25.", commands: [.run]),
        Option(name: "--loops", value: "NUMBER", help: "Event loops. One a core.", commands: [.run]),
        Option(
            name: "--slowness", value: "NUMBER",
            help:
                "How much longer than usual work takes here, for what a connection may take of an event loop. Measured.",
            commands: [.run]),
        Option(
            name: "--mode", value: "redacted|unredacted", help: "Whether secrets are shown. redacted.",
            commands: [.printConfig]),
        Option(
            name: "--format", value: "yaml|json", help: "How it is written. yaml.", commands: [.printConfig]),
    ]

    private(set) var command = Command.run
    /// The words that are no options.
    private(set) var files: [String] = []
    private var values: [String: [String]] = [:]

    /// - Parameter words: without the program's own name.
    /// - Throws: a word that is not understood, an option without its value, or twice.
    init(_ words: [String]) throws(UsageError) {
        var rest = words[...]
        if let first = rest.first, !first.hasPrefix("-") {
            guard let named = Command(rawValue: first) else {
                throw UsageError(description: "unknown command \"\(first)\"")
            }
            command = named
            rest = rest.dropFirst()
        }
        while let word = rest.popFirst() {
            switch word {
            case "--help", "-h": command = .help
            case "--version", "-v": command = .version
            case _ where (command == .test || command == .audit) && !word.hasPrefix("-"): files.append(word)
            default: try take(word, &rest)
            }
        }
    }

    private mutating func take(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let option = Self.options.first(where: { $0.name == name }) else {
            throw UsageError(description: "unknown option \"\(name)\"")
        }
        guard option.commands.contains(command) else {
            throw UsageError(description: "\(name) does not go with \"\(command.rawValue)\"")
        }
        guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
            throw UsageError(description: "\(name) needs a value: \(option.value)")
        }
        guard option.repeats || values[name] == nil else {
            throw UsageError(description: "\(name) is given twice")
        }
        values[name, default: []].append(value)
    }

    /// All values of an option, in order.
    func all(_ name: String) -> [String] { values[name] ?? [] }

    /// The value of an option that is given once.
    func value(_ name: String) -> String? { values[name]?.last }

    /// The number that an option is set to.
    func number(_ name: String, default: Int, in range: ClosedRange<Int>) throws(UsageError) -> Int {
        guard let text = value(name) else { return `default` }
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(
                description:
                    "\(name) is \"\(text)\"; must be a number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    /// The word that an option is set to.
    func choice(_ name: String, of words: [String]) throws(UsageError) -> String {
        let chosen = value(name) ?? words[0]
        guard words.contains(chosen) else {
            throw UsageError(
                description: "\(name) is \"\(chosen)\"; must be \(words.joined(separator: " or "))")
        }
        return chosen
    }

    /// The help text.
    static var help: String {
        var text = """
            An OTLP gateway that runs the OpenTelemetry Collector's configuration.

            usage: sluice [COMMAND] [OPTIONS]

              run           run the gateway (the default)
              validate      check a configuration and say everything that is wrong with it
              components    list the component types that this version builds
              print-config  print the configuration as it takes effect: merged, overridden, expanded
              transform     send OTLP JSON from standard input through the processors of a pipeline, print what comes out
              audit ACTION  an audit log: verify, export, prove ID, checkpoint, keygen, tail, schema, detach
              test FILE…    check what comes out of pipelines against files of tests
              generate      print an example of a signal as OTLP JSON, input for transform and test
              version       print the version
              help          print this

            """
        for option in options {
            let commands = option.commands.map(\.rawValue).joined(separator: ", ")
            text += "\n  \(option.name) \(option.value)  (\(commands))\n      \(option.help)\n"
        }
        return text
    }
}
