import Configuration
import DebugExporter
import Pipeline
import Testing

@Suite("Keys of the debug exporter")
struct DebugConfigTests {
    private func read(_ yaml: String, isLogging: Bool = false) -> (DebugConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = DebugConfig(
            ConfigSection(yaml: yaml, path: "debug", diagnostics: diagnostics), isLogging: isLogging)
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("what is not written is as in the Collector")
    func defaults() {
        let (config, problems) = read("")
        #expect(problems.isEmpty && config == DebugConfig())
        #expect(config.verbosity == .basic && config.samplingInitial == 2 && config.samplingThereafter == 1)
        #expect(config.useInternalLogger && config.outputPaths == ["stdout"] && !config.sendingQueue.enabled)
        #expect(read("", isLogging: true).0.verbosity == .normal)
    }

    @Test("every key arrives")
    func keys() {
        let (config, problems) = read(
            """
            {verbosity: detailed, sampling_initial: 5, sampling_thereafter: 0, use_internal_logger: false,
             output_paths: [/x], sending_queue: {num_consumers: 1}}
            """)
        #expect(problems.isEmpty)
        #expect(
            config.verbosity == .detailed && config.samplingInitial == 5 && config.samplingThereafter == 0)
        #expect(!config.useInternalLogger && config.outputPaths == ["/x"])
        #expect(config.sendingQueue.enabled && config.sendingQueue.numConsumers == 1)
    }

    @Test(
        "old files with logging and loglevel keep their meaning",
        arguments: [
            ("debug", .detailed), ("info", .normal), ("warn", .basic), ("error", .basic),
            ("DEBUG", .detailed),
        ] as [(String, DebugConfig.Verbosity)])
    func logLevel(level: String, verbosity: DebugConfig.Verbosity) {
        let (config, problems) = read("loglevel: \(level)", isLogging: true)
        #expect(problems.isEmpty && config.verbosity == verbosity)
    }

    @Test("keys that contradict each other are refused")
    func broken() {
        #expect(read("loglevel: debug").1 == ["debug: unknown key \"loglevel\""])
        #expect(
            read("{loglevel: debug, verbosity: basic}", isLogging: true).1 == [
                "debug::loglevel: cannot be set together with \"verbosity\""
            ])
        #expect(
            read("output_paths: [/x]").1 == [
                "debug::output_paths: has an effect only with \"use_internal_logger: false\""
            ])
        #expect(
            read("verbosity: loud").1 == [
                "debug::verbosity: unknown value \"loud\"; must be basic, normal or detailed"
            ])
    }
}
