package import Configuration
internal import HTTP

/// The keys of the `jaeger` receiver: the protocols to serve. A protocol that is not written is off.
package struct JaegerConfig: Sendable, Equatable {
    /// Packets of one Thrift protocol.
    package struct Packets: Sendable, Equatable {
        package var endpoint: EndpointConfig
        /// Bytes of the largest packet. Default 65000. Key `max_packet_size`.
        package var packetBytesMax = 65_000
        /// Bytes of packets that wait in the socket; 0: as the system says, the default. Key `socket_buffer_size`.
        package var socketBufferBytes = 0
    }

    /// Default endpoint localhost:14250. Key `protocols::grpc`.
    package var grpc: GRPCServerConfig?
    /// Default endpoint localhost:14268. Key `protocols::thrift_http`.
    package var http: HTTPServerConfig?
    /// Default endpoint localhost:6831. Key `protocols::thrift_compact`.
    package var compact: Packets?
    /// Default endpoint localhost:6832. Key `protocols::thrift_binary`.
    package var binary: Packets?

    package init(_ section: ConfigSection) {
        let names = ["grpc", "thrift_http", "thrift_compact", "thrift_binary"]
        section.misplaced(names, under: "protocols")
        section.notSupportedYet(
            "remote_sampling", "let the SDKs ask a Collector or Jaeger for their sampling strategies")
        let protocols = section.section("protocols")
        grpc = protocols?.optionalProtocol("grpc") {
            GRPCServerConfig(
                $0, endpoint: EndpointConfig(host: "localhost", port: 14250), readTLS: { $0.serverTLS() },
                hasAuth: true)
        }
        http = protocols?.optionalProtocol("thrift_http") {
            HTTPServerConfig(
                $0, endpoint: EndpointConfig(host: "localhost", port: 14268), readTLS: { $0.serverTLS() },
                hasAuth: true)
        }
        compact = protocols?.optionalProtocol("thrift_compact") { Packets($0, port: 6831) }
        binary = protocols?.optionalProtocol("thrift_binary") { Packets($0, port: 6832) }
        if grpc == nil, http == nil, compact == nil, binary == nil, !section.isBroken("protocols"),
            protocols?.hasBrokenKeys != true
        {
            (protocols ?? section).report(
                nil, error: "must specify at least one protocol when using the Jaeger receiver",
                help: "write one or more of \(names.joined(separator: ", ")) below protocols")
        }
        section.finish()
    }
}

extension JaegerConfig.Packets {
    fileprivate init(_ section: ConfigSection, port: Int) {
        endpoint = section.endpoint("endpoint", default: EndpointConfig(host: "localhost", port: port))
        // No packet of UDP is larger, whatever is allowed.
        packetBytesMax = min(
            section.int("max_packet_size", default: packetBytesMax, in: 1...Int(Int32.max)), 65_535)
        socketBufferBytes = section.int("socket_buffer_size", default: 0, in: 0...Int(Int32.max))
        // Packets are translated as they are read; what waits, waits in the socket.
        _ = section.int("queue_size", default: 1000)
        _ = section.int("workers", default: 10)
    }
}

extension ConfigSection {
    fileprivate func optionalProtocol<Read>(_ key: String, _ read: (ConfigSection) -> Read) -> Read? {
        guard let keys = section(key) else { return nil }
        let value = read(keys)
        return keys.bool("enabled", default: true) ? value : nil
    }
}
