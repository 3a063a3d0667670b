internal import Glibc
package import NIOCore
package import NIOPosix

extension ServerBootstrap {
    /// Listens on a host and a port. A wildcard, `0.0.0.0` or `::`, is every address of both families, as it is for
    /// the Collector; where there is no IPv6, every IPv4 address. Any other address is that address alone.
    ///
    /// - Throws: when the port cannot be had: an `IOError`, or why the host has no address.
    package func listen(host: String, port: Int) async throws -> any Channel {
        guard host.isEmpty || host == "0.0.0.0" || host == "::" else {
            return try await bind(host: host, port: port).get()
        }
        do {
            return try await serverChannelOption(
                .socket(SocketOptionLevel(IPPROTO_IPV6), SocketOptionName(IPV6_V6ONLY)), value: 0
            ).bind(host: "::", port: port).get()
        } catch let error as IOError where Self.isWithoutIPv6(error) {
            return try await bind(host: "0.0.0.0", port: port).get()
        }
    }

    /// Whether the machine, or this container, has no IPv6.
    private static func isWithoutIPv6(_ error: IOError) -> Bool {
        error.errnoCode == EAFNOSUPPORT || error.errnoCode == EADDRNOTAVAIL
    }
}
