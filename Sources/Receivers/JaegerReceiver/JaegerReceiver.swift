internal import Configuration
package import NIOCore
package import OTLP
package import Pipeline
internal import RequestServing

extension JaegerConfig: ComponentConfig {
    package var references: [ComponentReference] {
        [
            grpc?.authenticator?.asServerAuthenticator(in: ["protocols", "grpc"]),
            http?.authenticator?.asServerAuthenticator(in: ["protocols", "thrift_http"]),
        ].compactMap(\.self)
    }
}

extension ComponentType {
    /// `jaeger`, the receiver.
    package static let jaegerReceiver = receiver(
        "jaeger", stability: .beta, signals: [.traces], JaegerConfig.self
    ) {
        JaegerReceiver($0, $1, outputs: $2)
    }
}

/// Receives spans as Jaeger's clients and agents send them: `jaeger`. `start` and `stop` from any thread, once each.
package final class JaegerReceiver: Component {
    private let config: JaegerConfig
    private let outputs: [Signal: PipelineOutput]
    private let server: RequestServer

    package init(
        _ config: JaegerConfig, _ context: ComponentContext, outputs: [Signal: PipelineOutput]
    ) {
        self.config = config
        self.outputs = outputs
        server = RequestServer(
            context, outputs: Array(outputs.values), grpc: config.grpc, http: config.http)
    }

    /// Listens, and logs where.
    /// - Throws: an address cannot be had; nothing listens then.
    package func start() async throws {
        guard let output = outputs[.traces] else { return }
        func served(_ path: String, _ translator: any RequestTranslator) -> ServedRequests {
            ServedRequests(.traces, path: path, to: output, translator: translator)
        }
        server.start()
        do {
            if let config = config.grpc {
                try await server.listenGRPC(
                    config, key: "protocols::grpc",
                    [served("/jaeger.api_v2.CollectorService/PostSpans", JaegerProtobuf())])
            }
            if let config = config.http {
                try await server.listenHTTP(
                    config, key: "protocols::thrift_http", [served("/api/traces", JaegerThrift(.batch))],
                    choosing: Self.choose, style: .plain)
            }
            if let config = config.compact {
                try await listen(config, "thrift_compact", served("", JaegerThrift(.compactCall)))
            }
            if let config = config.binary {
                try await listen(config, "thrift_binary", served("", JaegerThrift(.binaryCall)))
            }
        } catch {
            await server.stopListening()
            throw error
        }
    }

    private func listen(
        _ config: JaegerConfig.Packets, _ name: String, _ served: ServedRequests
    ) async throws(RequestServerError) {
        try await server.listenUDP(
            config.endpoint, key: "protocols::" + name, packetBytesMax: config.packetBytesMax,
            socketBufferBytes: config.socketBufferBytes, served)
    }

    static func choose(_ path: Substring, _ mediaType: String) -> Result<Int, RouteRefusal> {
        guard path == "/api/traces" else { return .failure(RouteRefusal(404, "404 page not found")) }
        guard ["application/x-thrift", "application/vnd.apache.thrift.binary"].contains(mediaType) else {
            return .failure(RouteRefusal(400, "Unsupported content type: \(mediaType.prefix(128))"))
        }
        return .success(0)
    }

    package func stop(until deadline: NIODeadline) async -> Remainder { await server.stop(until: deadline) }
}
