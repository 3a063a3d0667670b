package import Configuration
internal import Pipeline

/// The keys of the `batch` processor.
package struct BatchConfig: Sendable, Equatable {
    /// A batch leaves this long after its first item at the latest; 0 = at once. Default 200ms. Key `timeout`.
    package var timeout: Duration = .milliseconds(200)
    /// A batch leaves with this many spans, data points or log records; 0 = at once, as with a timeout of 0.
    /// Default 8192. Key `send_batch_size`.
    package var sendBatchSize = 8192
    /// Larger batches are split; 0 = never, else at least `send_batch_size`. Default 0. Key `send_batch_max_size`.
    package var sendBatchMaxSize = 0
    /// Names, in lower case, of the client's metadata whose values keep batches apart; needs a receiver with
    /// `include_metadata`. Default none. Key `metadata_keys`.
    package var metadataKeys: [String] = []
    /// Combinations of their values that may wait at a time; 0 = no limit. Default 1000. Key
    /// `metadata_cardinality_limit`.
    package var metadataCardinalityLimit = 1000

    package init() {}

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        let largest = Int(UInt32.max)
        timeout = section.duration("timeout", default: timeout)
        sendBatchSize = section.int("send_batch_size", default: sendBatchSize, in: 0...largest)
        sendBatchMaxSize = section.int("send_batch_max_size", default: 0, in: 0...largest)
        metadataCardinalityLimit = section.int(
            "metadata_cardinality_limit", default: metadataCardinalityLimit, in: 0...largest)
        metadataKeys = section.metadataKeys("metadata_keys")
        if sendBatchMaxSize > 0, sendBatchMaxSize < sendBatchSize {
            section.report(
                "send_batch_max_size",
                error: "send_batch_max_size must be greater or equal to send_batch_size, "
                    + "found \(sendBatchMaxSize) and \(sendBatchSize)",
                help: section.has("send_batch_size")
                    ? "raise send_batch_max_size or lower send_batch_size"
                    : "write send_batch_size too; its default is \(sendBatchSize)")
        }
        section.finish()
    }
}
