package import Pipeline

extension OTLPReceiverConfig: ComponentConfig {}

extension ComponentType {
    /// `otlp`, the receiver.
    package static let otlpReceiver = receiver("otlp", stability: .stable, OTLPReceiverConfig.self) {
        OTLPReceiver($0, $1, outputs: $2)
    }
}
