package import Configuration

/// `sending_queue` of an exporter: what waits between the pipeline and the destination.
package struct SendingQueueConfig: Sendable, Equatable {
    /// What `queue_size` counts.
    package enum Sizer: String, Sendable, CaseIterable {
        case requests
        case items
        case bytes
    }

    /// false: the exporter is called directly. Default true. Key `enabled`.
    package var enabled = true
    /// Exports at once. Default 10, at least 1. Key `num_consumers`.
    package var numConsumers = 10
    /// Room, counted by `sizer`. Default 1000, at least 1. Key `queue_size`.
    package var queueSize = 1000
    /// Default requests. Key `sizer`.
    package var sizer: Sizer = .requests
    /// A full queue makes the sender wait instead of refusing. Default false. Key `block_on_overflow`.
    package var blockOnOverflow = false
    /// The sender waits until the destination has answered. Default false. Key `wait_for_result`.
    package var waitForResult = false

    package init(enabled: Bool = true) {
        self.enabled = enabled
    }

    /// Reads `sending_queue` of an exporter's section; defaults when it is not written.
    package init(of exporter: ConfigSection) {
        guard let section = exporter.section("sending_queue") else {
            self.init()
            return
        }
        self.init(section)
    }

    /// Reads and checks the section itself; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        enabled = section.bool("enabled", default: true)
        numConsumers = section.int("num_consumers", default: numConsumers, in: 1...4096)
        queueSize = section.int("queue_size", default: queueSize, in: 1...Int.max)
        sizer = section.choice("sizer", default: .requests)
        blockOnOverflow = section.bool("block_on_overflow", default: false)
        waitForResult = section.bool("wait_for_result", default: false)
        section.notSupportedYet(
            "storage", "the queue is in memory; wait_for_result tells clients what arrived")
        section.notSupportedYet("batch", "use the batch processor")
        section.finish()
    }
}
