package import Configuration

/// The keys of the `zpages` extension.
package struct ZPagesConfig: Sendable, Equatable {
    /// Where to listen. Default localhost:55679; port 0 lets the system choose. Key `endpoint`.
    package var endpoint = EndpointConfig(host: "localhost", port: 55679)

    package init() {}

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        endpoint = section.pageServer(default: endpoint)
        if let expvar = section.section("expvar") {
            if expvar.bool("enabled", default: false) {
                expvar.report(
                    "enabled", warning: "has no effect: these are variables of Go's runtime",
                    help: "the page of metrics has memory and CPU time")
            }
        }
        section.finish()
    }
}
