internal import Logging
internal import Synchronization

/// Says once for each kind that clients speak another protocol than a server does. Any thread.
final class ForeignClients: Sendable {
    enum Kind: Int {
        case tls
        case http1
        case grpc

        fileprivate var words: (message: String, help: String) {
            switch self {
            case .tls:
                (
                    "A client speaks TLS to a server that has none, and was turned away. Not told again.",
                    "write tls with cert_file and key_file for the server, or http:// at the client"
                )
            case .http1:
                (
                    "A client that speaks no HTTP/2 came to a port for gRPC, and was turned away. Not told again.",
                    "send OTLP over HTTP to the port of protocols::http (usually 4318)"
                )
            case .grpc:
                (
                    "A client that speaks gRPC came to a port for OTLP over HTTP, and was answered 404. Not told again.",
                    "send gRPC to the port of protocols::grpc (usually 4317)"
                )
            }
        }
    }

    private let told = Atomic<Int>(0)
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    func tell(_ kind: Kind) {
        let bit = 1 << kind.rawValue
        guard told.bitwiseOr(bit, ordering: .relaxed).oldValue & bit == 0 else { return }
        logger.warning("\(kind.words.message)", metadata: ["help": "\(kind.words.help)"])
    }
}
