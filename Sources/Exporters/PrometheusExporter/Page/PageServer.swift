internal import Configuration
package import HTTP
package import NIOCore

/// The server of one exporter's page. Any thread; start once, stop after that.
package final class PageServer: Sendable {
    private let server: AdminServer

    /// A server that does not listen yet.
    ///
    /// - Parameters:
    ///   - name: the exporter's id, as the configuration has it.
    ///   - exporter: writes the pages, on their own thread.
    package init(
        _ config: PrometheusExporterConfig, name: String, group: any EventLoopGroup,
        exporter: PrometheusExporter
    ) {
        let desk = PageDesk { exporter.render($0) }
        let rules = PageRules(config)
        server = AdminServer(
            group: group, host: config.server.endpoint.host, port: config.server.endpoint.port,
            key: "exporters::\(name)::endpoint"
        ) { channel in
            try PageConnection.install(on: channel, desk: desk, rules: rules)
        }
    }

    /// Starts to listen.
    ///
    /// - Returns: the address, with the port that the system chose.
    /// - Throws: when the port cannot be had.
    package func start() async throws(AdminServerError) -> SocketAddress {
        try await server.start()
    }

    /// Stops listening and closes every connection. Does nothing when it never started or has stopped.
    package func stop() async {
        await server.stop()
    }
}
