package import NIOCore
import Synchronization

/// How long the calls of a server or a client took and how large they were, under the names of the Collector's
/// `otelhttp` and `otelgrpc`: `http_server_request_duration`, `rpc_client_request_size` and so on. Any thread; for
/// `level: detailed` only, since it takes a lock.
package final class CallMetrics: Sendable {
    /// Which end of the calls this is.
    package enum Side: String, Sendable {
        case server
        case client
    }

    private struct Instruments: Sendable {
        let duration: Histogram
        let requestBytes: Histogram
        let responseBytes: Histogram
    }

    private let registry: MetricRegistry
    private let prefix: String
    private let isGRPC: Bool
    private let labels: MetricLabels
    private let byStatus = Mutex<[Int: Instruments]>([:])

    /// Upper bounds in seconds: the semantic conventions' for HTTP.
    package static let secondBounds: [Double] = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]

    /// - Parameters:
    ///   - path: what is called: `/v1/traces`, or a method's whole name (`/package.Service/Method`).
    ///   - labels: further ones.
    package init(
        _ registry: MetricRegistry, _ side: Side, isGRPC: Bool, path: String, labels: MetricLabels = [:]
    ) {
        self.registry = registry
        self.isGRPC = isGRPC
        prefix = (isGRPC ? "rpc_" : "http_") + side.rawValue
        var labels = labels
        if isGRPC {
            let parts = path.split(separator: "/")
            labels = labels.adding("rpc_system", "grpc").adding("rpc_service", String(parts.first ?? ""))
                .adding("rpc_method", String(parts.dropFirst().first ?? ""))
        } else {
            labels = labels.adding("http_request_method", "POST")
            if side == .server { labels = labels.adding("http_route", path) }
        }
        self.labels = labels
    }

    /// For what an exporter sends; nil unless the level is `detailed`.
    /// - Parameters:
    ///   - path: see above.
    ///   - host: where to.
    package convenience init?(
        of context: ComponentContext, isGRPC: Bool, path: String, host: String, port: Int
    ) {
        guard context.gateway.isDetailed else { return nil }
        self.init(
            context.registry, .client, isGRPC: isGRPC, path: path,
            labels: ["server_address": host, "server_port": "\(port)"])
    }

    /// Counts a call that has ended.
    /// - Parameters:
    ///   - status: of gRPC or of HTTP; 0 with HTTP: there was no answer.
    ///   - requestBytes: of the body as it was sent.
    package func observe(status: Int, duration: TimeAmount, requestBytes: Int, responseBytes: Int) {
        let instruments = byStatus.withLock { known in
            if let instruments = known[status] { return instruments }
            let instruments = make(status)
            known[status] = instruments
            return instruments
        }
        let seconds = Double(duration.nanoseconds) / 1e9
        instruments.duration.observe(isGRPC ? seconds * 1000 : seconds)
        instruments.requestBytes.observe(Double(requestBytes))
        instruments.responseBytes.observe(Double(responseBytes))
    }

    private func make(_ status: Int) -> Instruments {
        let labels =
            status == 0 && !isGRPC
            ? labels.adding("error_type", "no_answer")
            : labels.adding(isGRPC ? "rpc_grpc_status_code" : "http_response_status_code", "\(status)")
        let size = isGRPC ? "size" : "body_size"
        return Instruments(
            duration: registry.histogram(
                isGRPC ? prefix + "_duration" : prefix + "_request_duration",
                help: isGRPC ? "Milliseconds that calls took." : "Seconds that requests took.",
                bounds: isGRPC ? Self.secondBounds.map { $0 * 1000 } : Self.secondBounds, labels: labels),
            requestBytes: registry.histogram(
                "\(prefix)_request_\(size)", help: "Bytes of requests, as they were sent.",
                bounds: Histogram.byteBounds, labels: labels),
            responseBytes: registry.histogram(
                "\(prefix)_response_\(size)", help: "Bytes of answers.", bounds: Histogram.byteBounds,
                labels: labels))
    }
}
