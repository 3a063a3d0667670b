package import NIOCore

/// Who sent a request: the address of the other end of its connection, which may be a proxy's. Shared by all requests of the
/// connection. Immutable; any thread.
package final class ClientAddress: Sendable {
    /// Without the port: `10.1.2.3`, `fd00::1`.
    package let host: String

    package init(host: String) { self.host = host }

    /// - Parameter address: nil, or of a Unix domain socket: there is no address.
    package convenience init?(_ address: SocketAddress?) {
        guard let host = address?.ipAddress else { return nil }
        self.init(host: host)
    }
}
