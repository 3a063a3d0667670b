internal import NIOCore

/// What a server speaks instead of what it was asked in, told from the first bytes that it sends.
///
/// The usual mistakes: OTLP's two ports taken for each other, and TLS on one side only.
enum ForeignProtocol: Error, Equatable, CustomStringConvertible {
    /// A client of HTTP/2 hears HTTP/1.
    case http1
    /// A client of HTTP/1.1 hears HTTP/2.
    case http2
    /// A client without TLS hears TLS; `asked` is what the client speaks.
    case tls(asked: Asked)

    enum Asked: Sendable {
        case http1
        case http2
    }

    /// Bytes that are looked at, at most.
    static let bytesMax = 9

    /// - Parameter bytes: the first ones of the connection.
    /// - Returns: nil when they may be what was asked for, or nothing that is known.
    init?(_ bytes: some Collection<UInt8>, asked: Asked) {
        let start = Array(bytes.prefix(Self.bytesMax))
        // A TLS record: an alert or a handshake message, version 3.
        if start.count >= 2, start[0] == 0x15 || start[0] == 0x16, start[1] == 0x03 {
            self = .tls(asked: asked)
            return
        }
        switch asked {
        case .http2:
            guard start.starts(with: "HTTP/".utf8) else { return nil }
            self = .http1
        case .http1:
            // SETTINGS or GOAWAY of the whole connection (RFC 9113 §4.1), which every server of HTTP/2 begins with.
            guard start.count == Self.bytesMax, start[0] == 0, start[3] == 4 || start[3] == 7,
                start[5...].allSatisfy({ $0 == 0 })
            else { return nil }
            self = .http2
        }
    }

    var description: String {
        switch self {
        case .http1:
            "the server speaks HTTP/1 there, no gRPC: write otlp_http instead of otlp_grpc, or the server's port for "
                + "gRPC (usually 4317)"
        case .http2:
            "the server speaks HTTP/2 only there, as gRPC servers do: write otlp_grpc instead of otlp_http, or the "
                + "server's port for HTTP (usually 4318)"
        case .tls(asked: .http2): "the server speaks TLS there: remove tls::insecure: true"
        case .tls(asked: .http1): "the server speaks TLS there: write https:// instead of http://"
        }
    }
}
