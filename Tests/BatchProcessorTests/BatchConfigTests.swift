import BatchProcessor
import Configuration
import Testing

@Suite("Keys of batch")
struct BatchConfigTests {
    private func read(_ yaml: String) -> (BatchConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = BatchConfig(ConfigSection(yaml: yaml, path: "batch", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("batches are made as in the Collector unless the file says otherwise")
    func defaults() {
        let (config, problems) = read("")
        #expect(problems.isEmpty && config == BatchConfig())
        #expect(config.timeout == .milliseconds(200) && config.sendBatchSize == 8192)
        #expect(config.sendBatchMaxSize == 0 && config.metadataCardinalityLimit == 1000)
        let (set, none) = read(
            "{timeout: 0, send_batch_size: 0, send_batch_max_size: 5, metadata_keys: [], metadata_cardinality_limit: 7}"
        )
        #expect(none.isEmpty && set.timeout == .zero && set.sendBatchSize == 0 && set.sendBatchMaxSize == 5)
        #expect(set.metadataCardinalityLimit == 7)
    }

    @Test(
        "a batch that could not be made is refused",
        arguments: [
            (
                "send_batch_max_size: 100",
                "batch::send_batch_max_size: send_batch_max_size must be greater or equal to send_batch_size, found 100 and 8192"
            ),
            (
                "metadata_keys: [tenant, Tenant]",
                "batch::metadata_keys: duplicate entry in metadata_keys: \"tenant\" (case-insensitive)"
            ),
            ("timeout: 10", "batch::timeout: expected a duration, found the number 10"),
            (
                "send_batch_size: 4294967296",
                "batch::send_batch_size: must be between 0 and 4294967295, found 4294967296"
            ),
            ("send_batch_sise: 1", "batch: unknown key \"send_batch_sise\""),
        ])
    func broken(yaml: String, message: String) {
        #expect(read(yaml).1 == [message])
    }
}
