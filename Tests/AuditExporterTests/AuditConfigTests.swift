import AuditExporter
import Configuration
import Pipeline
import Testing

/// If one failed, an operator's key would mean something else, or a wrong one would be found by the loss of evidence only.
@Suite("Audit configuration")
struct AuditConfigTests {
    private func read(_ yaml: String) -> (AuditConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = AuditConfig(ConfigSection(yaml: yaml, path: "audit", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("defaults are the documented ones")
    func defaults() {
        let (config, problems) = read("{origin: a.example/b, key_file: k, sqlite: {path: x}}")
        #expect(problems == [])
        #expect(config.store == .sqlite(path: "x"))
        #expect(config.maxCommitRecords == 1000 && config.checkpointRecords == 10_000)
        #expect(config.checkpointInterval == .seconds(10) && config.checkpointFile == nil)
        #expect(config.sendingQueue.queueSize == 1000 && config.sendingQueue.waitForResult)
        #expect(!config.retryOnFailure.enabled && config.previousKeyFile == nil)
    }

    @Test("every key arrives")
    func keys() {
        let (config, problems) = read(
            """
            {origin: a, key_file: k, previous_key_file: o, sqlite: {path: x}, max_commit_records: 5,
             checkpoint_interval: 1s, checkpoint_records: 6, checkpoint_file: c, queue_size: 7,
             checkpoint_exporter: otlp_grpc, retry_on_failure: {max_interval: 1s}, on_permanent_failure: file, divide_refused_batches: false}
            """)
        #expect(problems == [])
        #expect(config.previousKeyFile == "o" && config.checkpointFile == "c" && config.maxCommitRecords == 5)
        #expect(config.checkpointInterval == .seconds(1) && config.checkpointRecords == 6)
        #expect(config.sendingQueue.queueSize == 7 && config.sendingQueue.numConsumers == 7)
        #expect(config.retryOnFailure.enabled && !config.sendingQueue.dividesRefused)
        #expect(
            config.references.map { "\($0.id) \($0.key)" } == [
                "file on_permanent_failure", "otlp_grpc checkpoint_exporter",
            ])
    }

    @Test(
        "what is wrong is named",
        arguments: [
            ("{key_file: k, sqlite: {path: x}}", "origin"), ("{origin: a, sqlite: {path: x}}", "key_file"),
            ("{origin: a, key_file: k}", "requires a store"),
            ("{origin: a, key_file: k, sqlite: {}}", "path"),
            ("{origin: a b, key_file: k, sqlite: {path: x}}", "no white space"),
            ("{origin: a, key_file: k, postgresql: {}}", "connection"),
            ("{origin: a, key_file: k, sqlite: {path: x}, postgresql: {connection: y}}", "in one store"),
            ("{origin: a, key_file: k, sqlite: {path: x}, checkpoint_interval: 0s}", "at least 100ms"),
            ("{origin: a, key_file: k, sqlite: {path: x}, sending_queue: {storage: x}}", "sending_queue"),
        ])
    func wrong(yaml: String, expected: String) {
        let problems = read(yaml).1
        #expect(problems.contains { $0.contains(expected) }, "\(problems)")
    }
}
