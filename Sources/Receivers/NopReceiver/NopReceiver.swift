package import Configuration
package import NIOCore
package import Pipeline

/// The `nop` receiver has no keys.
package struct NopReceiverConfig: ComponentConfig {
    /// Reports every key that is written.
    package init(_ section: ConfigSection) {
        section.finish()
    }
}

extension ComponentType {
    /// `nop`, the receiver.
    package static let nopReceiver = receiver("nop", stability: .stable, NopReceiverConfig.self) { _, _, _ in
        NopReceiver()
    }
}

/// Receives nothing: `nop`. `start` and `stop` from any thread, once each.
package final class NopReceiver: Component {
    package init() {}

    package func start() async throws {}

    package func stop(until deadline: NIODeadline) async -> Remainder { Remainder() }
}
