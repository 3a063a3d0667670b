/// Where the probes of Kubernetes are answered.
package struct Probes: Sendable, Equatable {
    /// Interface and port.
    package var host: String
    package var port: Int
    /// Whether the gateway fails to start when the port is taken.
    package var isRequired: Bool

    /// Describes the place.
    package init(host: String, port: Int, isRequired: Bool) {
        self.host = host
        self.port = port
        self.isRequired = isRequired
    }
}
