internal import Configuration
package import HTTP
package import Logging
package import NIOCore
package import Pipeline

/// Why a page cannot be served: the key and what is wrong with it.
package struct PageServerError: Error, CustomStringConvertible {
    package let description: String
}

/// The server of one exporter's page. Any thread; start once, stop after that.
package final class PageServer: Sendable {
    private let server: AdminServer

    /// A server that does not listen yet. Reads certificates, which blocks.
    ///
    /// - Parameters:
    ///   - name: the exporter's id, as the configuration has it.
    ///   - exporter: writes the pages, on their own thread.
    ///   - ledger: is charged for pages.
    ///   - logger: hears of certificates that cannot be read again.
    ///   - refused: hears of clients whose certificates are not taken.
    /// - Throws: when the certificates cannot be used.
    package init(
        _ config: PrometheusExporterConfig, name: String, group: any EventLoopGroup,
        exporter: PrometheusExporter, ledger: MemoryLedger, logger: Logger,
        refused: @escaping ServerTLS.Refused
    ) throws(PageServerError) {
        let tls = try Self.tls(config.server.tls, logger, refused)
        let desk = PageDesk(
            ledger: ledger, known: { exporter.known($0) }, render: { exporter.render($0) })
        let rules = PageRules(config)
        server = AdminServer(
            group: group, host: config.server.endpoint.host, port: config.server.endpoint.port,
            key: "exporters::\(name)::endpoint", isTLS: tls != nil
        ) { channel in
            try tls?.addHandler(to: channel)
            try PageConnection.install(on: channel, desk: desk, rules: rules)
        }
    }

    private static func tls(
        _ config: ServerTLSConfig?, _ logger: Logger, _ refused: @escaping ServerTLS.Refused
    ) throws(PageServerError) -> ServerTLS? {
        guard let config else { return nil }
        do throws(TLSProblem) {
            return try ServerTLS(config, protocols: ["http/1.1"], logger: logger, refused: refused)
        } catch {
            throw PageServerError(description: "\(error)")
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
