internal import OTLP
package import Pipeline

extension PrometheusReceiverConfig: ComponentConfig {}

extension ComponentType {
    /// `prometheus`, the receiver.
    package static let prometheusReceiver = receiver(
        "prometheus", signals: [.metrics], PrometheusReceiverConfig.self
    ) { config, context, outputs in
        guard let output = outputs[.metrics] else {
            preconditionFailure("a receiver of metrics was checked to stand in pipelines of metrics")
        }
        return PrometheusReceiver(config, context, output: output)
    }
}
