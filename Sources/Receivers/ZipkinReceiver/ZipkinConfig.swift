package import Configuration
internal import HTTP

/// The keys of the `zipkin` receiver: those of its HTTP server, and one.
package struct ZipkinConfig: Sendable, Equatable {
    /// Default endpoint localhost:9411.
    package var server: HTTPServerConfig
    /// Whether tags that look like numbers or booleans become ones. Default false. Key `parse_string_tags`.
    package var parsesStringTags = false

    package init(_ section: ConfigSection) {
        server = HTTPServerConfig(
            section, endpoint: EndpointConfig(host: "localhost", port: 9411), readTLS: { $0.serverTLS() },
            hasAuth: true)
        parsesStringTags = section.bool("parse_string_tags", default: false)
        section.finish()
    }
}
