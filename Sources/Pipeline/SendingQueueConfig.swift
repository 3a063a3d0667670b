package import Configuration

/// `sending_queue` of an exporter: what waits between the pipeline and the destination.
package struct SendingQueueConfig: Sendable, Equatable {
    /// What `queue_size` counts.
    package enum Sizer: String, Sendable, CaseIterable {
        case requests
        case items
        case bytes
    }

    /// `batch`: gathering behind the queue.
    package struct BatchSettings: Sendable, Equatable {
        /// A batch leaves this long after its first item at the latest. Default 200ms, more than 0. Key
        /// `flush_timeout`.
        package var flushTimeout: Duration = .milliseconds(200)
        /// A batch leaves with so much in it. Default 8192. Key `min_size`.
        package var minSize = 8192
        /// Larger batches are split; 0 = never, else at least `min_size`. Default 0. Key `max_size`.
        package var maxSize = 0
        /// What the sizes count: items or bytes. Default: the queue's if that was set, else items. Key `sizer`.
        package var sizer: Sizer = .items
        /// Names, in lower case, of the client's metadata whose values keep batches apart. Default none. Key
        /// `partition::metadata_keys`.
        package var metadataKeys: [String] = []

        package init() {}
    }

    /// false: the exporter is called directly. Default true. Key `enabled`.
    package var enabled = true
    /// Exports at once. Default 10, at least 1. Key `num_consumers`.
    package var numConsumers = 10
    /// Room, counted by `sizer`. Default 1000, at least 1. Key `queue_size`.
    package var queueSize = 1000
    /// Default requests. Key `sizer`.
    package var sizer: Sizer = .requests
    /// A full queue makes receivers leave requests in their sockets instead of refusing. Default false. Key
    /// `block_on_overflow`.
    package var blockOnOverflow = false
    /// The sender waits until the destination has answered. Default false. Key `wait_for_result`.
    package var waitForResult = false
    /// The extension that keeps the queue on disk; nil = in memory, the default. Key `storage`.
    package var storage: ComponentID?
    /// Gathers what waits before it is sent; nil = not, the default. Key `batch`.
    package var batch: BatchSettings?
    /// The exporter that gets what the destination will never take; nil = nobody, the default. Key
    /// `on_permanent_failure` of the exporter itself, which the Collector does not have.
    package var onPermanentFailure: ComponentID?

    /// A batch that the destination refuses for good is divided, until what it does not take is alone. Default true. Key
    /// `divide_refused_batches` of the exporter itself, which the Collector does not have.
    package var dividesRefused = true
    /// Whether a refusal is always about items of the batch, and never about the destination: batches are divided without
    /// bounds then.
    package var judgesItems = false

    package init(enabled: Bool = true) {
        self.enabled = enabled
    }

    /// Reads `sending_queue` and `on_permanent_failure` of an exporter's section; defaults where they are not written.
    package init(of exporter: ConfigSection) {
        if let section = exporter.section("sending_queue") {
            self.init(section)
        } else {
            self.init()
        }
        onPermanentFailure = exporter.componentID("on_permanent_failure")
        dividesRefused = exporter.bool("divide_refused_batches", default: true)
    }

    /// Reads and checks the section itself; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        section.formerly([
            "persistent_storage_enabled": "write storage: file_storage, and file_storage: under extensions"
        ])
        enabled = section.bool("enabled", default: true)
        numConsumers = section.positive("num_consumers", default: numConsumers, atMost: 4096)
        queueSize = section.positive("queue_size", default: queueSize)
        sizer = section.choice("sizer", default: .requests)
        blockOnOverflow = section.bool("block_on_overflow", default: false)
        waitForResult = section.bool("wait_for_result", default: false)
        storage = section.componentID("storage")
        // A queue that is off has none, whatever is written.
        if !enabled { storage = nil }
        if let keys = section.section("batch"), keys.bool("enabled", default: true) {
            batch = BatchSettings(keys, queue: self, queueSizerIsWritten: section.has("sizer"))
        }
        if waitForResult, storage != nil {
            section.report(
                "wait_for_result",
                error: "wait_for_result is not supported with a persistent queue configured with storage",
                help: "with storage a client is answered when its data is on disk; remove one of the two")
        }
        section.finish()
    }
}

extension SendingQueueConfig.BatchSettings {
    fileprivate init(_ section: ConfigSection, queue: SendingQueueConfig, queueSizerIsWritten: Bool) {
        self.init()
        if queueSizerIsWritten, queue.sizer != .requests { sizer = queue.sizer }
        flushTimeout = section.duration("flush_timeout", default: flushTimeout)
        if flushTimeout == .zero, !section.isBroken("flush_timeout") {
            section.report("flush_timeout", error: "flush_timeout must be positive, found 0")
        }
        let sizeMax = Int(UInt32.max)
        minSize = section.int("min_size", default: minSize, in: 0...sizeMax)
        maxSize = section.int("max_size", default: 0, in: 0...sizeMax)
        let written = section.choice("sizer", default: sizer)
        if written == .requests {
            section.report("sizer", error: "batch supports only items or bytes sizer, found \"requests\"")
        } else {
            sizer = written
        }
        if maxSize > 0, maxSize < minSize {
            section.report(
                "max_size", error: "max_size (\(maxSize)) must be greater or equal to min_size (\(minSize))",
                help: section.has("min_size") ? nil : "write min_size too; its default is \(minSize)")
        }
        if sizer == queue.sizer, minSize > queue.queueSize {
            section.report(
                section.has("min_size") ? "min_size" : nil,
                error: "min_size must be less than or equal to queue_size, found \(minSize) and "
                    + "\(queue.queueSize) \(queue.sizer.rawValue)",
                help: "lower min_size or raise queue_size")
        }
        if let partition = section.section("partition") {
            metadataKeys = partition.metadataKeys("metadata_keys")
        }
    }
}

extension ConfigSection {
    /// A whole number above 0.
    fileprivate func positive(_ key: String, default value: Int, atMost most: Int = .max) -> Int {
        let found = int(key, default: value, in: .min...most)
        if found < 1 {
            report(key, error: "\(key) must be positive, found \(found)")
            return value
        }
        return found
    }

    /// Names of a client's metadata, in lower case, none twice.
    package func metadataKeys(_ key: String) -> [String] {
        var keys: [String] = []
        for name in stringList(key) {
            let lowered = name.lowercased()
            if keys.contains(lowered) {
                report(key, error: "duplicate entry in metadata_keys: \"\(lowered)\" (case-insensitive)")
            } else {
                keys.append(lowered)
            }
        }
        return keys
    }
}
