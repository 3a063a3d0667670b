internal import Configuration
package import NIOCore
package import OTLP
package import Pipeline
internal import RequestServing

extension ZipkinConfig: ComponentConfig {
    package var references: [ComponentReference] {
        [server.authenticator?.asServerAuthenticator()].compactMap(\.self)
    }
}

extension ComponentType {
    /// `zipkin`, the receiver.
    package static let zipkinReceiver = receiver(
        "zipkin", stability: .beta, signals: [.traces], ZipkinConfig.self
    ) {
        ZipkinReceiver($0, $1, outputs: $2)
    }
}

/// Receives spans as Zipkin's clients post them: `zipkin`. `start` and `stop` from any thread, once each.
package final class ZipkinReceiver: Component {
    private let config: ZipkinConfig
    private let outputs: [Signal: PipelineOutput]
    private let server: RequestServer

    package init(
        _ config: ZipkinConfig, _ context: ComponentContext, outputs: [Signal: PipelineOutput]
    ) {
        self.config = config
        self.outputs = outputs
        server = RequestServer(
            context, outputs: Array(outputs.values), grpc: nil, http: config.server)
    }

    /// Listens, and logs where.
    /// - Throws: the address cannot be had.
    package func start() async throws {
        guard let output = outputs[.traces] else { return }
        server.start()
        let parses = config.parsesStringTags
        let translators: [any RequestTranslator] = [
            ZipkinV1JSON(parsesTags: parses, now: SystemClock.unixNanoseconds),
            ZipkinV2JSON(parsesTags: parses), ZipkinV2Protobuf(parsesTags: parses),
        ]
        do {
            try await server.listenHTTP(
                config.server, key: "",
                translators.map { ServedRequests(.traces, path: "", to: output, translator: $0) },
                choosing: Self.choose, style: .plain)
        } catch {
            await server.stopListening()
            throw error
        }
    }

    /// The first model by its path; the second one everywhere else.
    static func choose(_ path: Substring, _ mediaType: String) -> Result<Int, RouteRefusal> {
        guard path.contains("api/v1/spans") else {
            return .success(mediaType == "application/x-protobuf" ? 2 : 1)
        }
        if mediaType == "application/x-thrift" {
            return .failure(
                RouteRefusal(415, "415 spans of the first model are taken as application/json, not as Thrift")
            )
        }
        return .success(0)
    }

    package func stop(until deadline: NIODeadline) async -> Remainder { await server.stop(until: deadline) }
}
