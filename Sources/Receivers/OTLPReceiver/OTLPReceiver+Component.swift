internal import Configuration
package import Pipeline

extension OTLPReceiverConfig: ComponentConfig {
    package var references: [ComponentReference] {
        [
            grpc?.authenticator?.asServerAuthenticator(in: ["protocols", "grpc"]),
            http?.server.authenticator?.asServerAuthenticator(in: ["protocols", "http"]),
        ].compactMap(\.self)
    }
}

extension ComponentType {
    /// `otlp`, the receiver.
    package static let otlpReceiver = receiver("otlp", stability: .stable, OTLPReceiverConfig.self) {
        OTLPReceiver($0, $1, outputs: $2)
    }
}
