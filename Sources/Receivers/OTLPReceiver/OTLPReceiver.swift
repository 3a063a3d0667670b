internal import Configuration
package import NIOCore
package import OTLP
package import Pipeline
internal import RequestServing

/// Receives OTLP: gRPC on one port, HTTP/1.1 and HTTP/2 on another (`otlp`). `start` and `stop` from any thread, once each.
package final class OTLPReceiver: Component {
    private let config: OTLPReceiverConfig
    private let outputs: [Signal: PipelineOutput]
    private let server: RequestServer

    /// - Parameter outputs: where each signal goes; those that no pipeline takes are missing.
    package init(
        _ config: OTLPReceiverConfig, _ context: ComponentContext, outputs: [Signal: PipelineOutput]
    ) {
        self.config = config
        self.outputs = outputs
        server = RequestServer(
            context, limits: config.limits, outputs: Array(outputs.values), grpc: config.grpc,
            http: config.http?.server)
    }

    /// Listens, and logs where.
    /// - Throws: an address cannot be had; nothing listens then.
    package func start() async throws {
        server.start()
        do {
            if let config = config.grpc {
                try await server.listenGRPC(
                    config, key: "protocols::grpc", served(Signal.allCases.map { ($0, $0.grpcPath) }))
            }
            if let config = config.http {
                let paths: [(Signal, String)] = [
                    (.traces, config.tracesUrlPath), (.metrics, config.metricsUrlPath),
                    (.logs, config.logsUrlPath),
                ]
                try await server.listenHTTP(config.server, key: "protocols::http", served(paths))
            }
        } catch {
            await server.stopListening()
            throw error
        }
    }

    private func served(_ paths: [(Signal, String)]) -> [ServedRequests] {
        paths.compactMap { signal, path in
            outputs[signal].map { ServedRequests(signal, path: path, to: $0) }
        }
    }

    package func stop(until deadline: NIODeadline) async -> Remainder { await server.stop(until: deadline) }
}
