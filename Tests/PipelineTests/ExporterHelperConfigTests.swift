import Configuration
import Pipeline
import Testing

@Suite("sending_queue and retry_on_failure")
struct ExporterHelperConfigTests {
    private func queue(_ yaml: String) -> (SendingQueueConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = SendingQueueConfig(
            ConfigSection(yaml: yaml, path: "sending_queue", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    private func retry(_ yaml: String) -> (RetryConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = RetryConfig(
            ConfigSection(yaml: yaml, path: "retry_on_failure", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("an exporter without the section queues and retries as in the Collector")
    func defaults() {
        let exporter = ConfigSection(yaml: "sending_queue:", diagnostics: Diagnostics())
        #expect(SendingQueueConfig(of: exporter) == SendingQueueConfig())
        #expect(RetryConfig(of: exporter) == RetryConfig())
        let config = SendingQueueConfig()
        #expect(config.enabled && config.numConsumers == 10 && config.queueSize == 1000)
        #expect(config.sizer == .requests && !config.blockOnOverflow && !config.waitForResult)
        let retry = RetryConfig()
        #expect(retry.enabled && retry.initialInterval == .seconds(5) && retry.maxInterval == .seconds(30))
        #expect(retry.randomizationFactor == 0.5 && retry.multiplier == 1.5)
        #expect(retry.maxElapsedTime == .seconds(300))
    }

    @Test("every key arrives")
    func keys() {
        let (config, problems) = queue(
            "{enabled: false, num_consumers: 3, queue_size: 9, sizer: bytes, block_on_overflow: true, wait_for_result: true}"
        )
        #expect(problems.isEmpty)
        #expect(
            !config.enabled && config.numConsumers == 3 && config.queueSize == 9 && config.sizer == .bytes)
        #expect(config.blockOnOverflow && config.waitForResult)
        let (gathering, none) = queue(
            "{sizer: bytes, queue_size: 90000, storage: file_storage/q, batch: {max_size: 9000, flush_timeout: 1s, partition: {metadata_keys: [X-Tenant]}}}"
        )
        #expect(none.isEmpty && gathering.storage?.description == "file_storage/q")
        #expect(gathering.batch?.sizer == .bytes && gathering.batch?.minSize == 8192)
        #expect(gathering.batch?.maxSize == 9000 && gathering.batch?.flushTimeout == .seconds(1))
        #expect(gathering.batch?.metadataKeys == ["x-tenant"])
        #expect(queue("batch: {}").0.batch == SendingQueueConfig.BatchSettings())
        let (again, more) = retry(
            "{enabled: false, initial_interval: 1s, randomization_factor: 0, multiplier: 2, max_interval: 2s, max_elapsed_time: 0}"
        )
        #expect(more.isEmpty)
        #expect(!again.enabled && again.initialInterval == .seconds(1) && again.maxInterval == .seconds(2))
        #expect(again.randomizationFactor == 0 && again.multiplier == 2 && again.maxElapsedTime == .zero)
    }

    @Test(
        "a queue that could not work is refused",
        arguments: [
            ("num_consumers: 0", "sending_queue::num_consumers: num_consumers must be positive, found 0"),
            ("queue_size: 0", "sending_queue::queue_size: queue_size must be positive, found 0"),
            (
                "sizer: spans",
                "sending_queue::sizer: unknown value \"spans\"; must be requests, items or bytes"
            ),
            ("storage: 7up", "sending_queue::storage: \"7up\" is not a valid component id"),
            (
                "{storage: file_storage, wait_for_result: true}",
                "sending_queue::wait_for_result: wait_for_result is not supported with a persistent queue "
                    + "configured with storage"
            ),
            (
                "batch: {flush_timeout: 0}",
                "sending_queue::batch::flush_timeout: flush_timeout must be positive, found 0"
            ),
            (
                "batch: {sizer: requests}",
                "sending_queue::batch::sizer: batch supports only items or bytes sizer, found \"requests\""
            ),
            (
                "batch: {min_size: 10, max_size: 9}",
                "sending_queue::batch::max_size: max_size (9) must be greater or equal to min_size (10)"
            ),
            (
                "{sizer: items, batch: {}}",
                "sending_queue::batch: min_size must be less than or equal to queue_size, found 8192 and 1000 items"
            ),
            (
                "batch: {partition: {metadata_keys: [X-Tenant, x-tenant]}}",
                "sending_queue::batch::partition::metadata_keys: duplicate entry in metadata_keys: "
                    + "\"x-tenant\" (case-insensitive)"
            ),
            ("consumers: 1", "sending_queue: unknown key \"consumers\""),
        ])
    func brokenQueue(yaml: String, message: String) {
        #expect(queue(yaml).1 == [message])
    }

    @Test(
        "a retry that could not work is refused",
        arguments: [
            (
                "max_elapsed_time: 10s",
                "retry_on_failure::max_elapsed_time: 'max_elapsed_time' must not be less than 'max_interval', found 10s and 30s"
            ),
            (
                "initial_interval: 10m",
                "retry_on_failure::initial_interval: 'max_elapsed_time' must not be less than 'initial_interval', found 5m and 10m"
            ),
            ("multiplier: 0.5", "retry_on_failure::multiplier: must be at least 1.0, found 0.5"),
            (
                "randomization_factor: 2",
                "retry_on_failure::randomization_factor: must be between 0.0 and 1.0, found 2"
            ),
            ("max_interval: -1s", "retry_on_failure::max_interval: must not be negative, found -1s"),
        ])
    func brokenRetry(yaml: String, message: String) {
        #expect(retry(yaml).1 == [message])
    }
}
