internal import Glibc
package import NIOCore
package import NIOPosix

extension ServerBootstrap {
    /// Listens on a host and a port. A wildcard, `0.0.0.0` or `::`, is every address of both families, as it is for
    /// the Collector; where there is no IPv6, every IPv4 address. Any other address is that address alone.
    ///
    /// - Throws: when the port cannot be had: an `IOError`, or why the host has no address.
    package func listen(host: String, port: Int) async throws -> any Channel {
        try await Wildcard.listen(
            host,
            dual: {
                try await serverChannelOption(Wildcard.bothFamilies, value: 0).bind(host: $0, port: port)
                    .get()
            },
            single: { try await bind(host: $0, port: port).get() })
    }
}

extension DatagramBootstrap {
    /// Waits for packets on a host and a port; wildcards are what they are for `ServerBootstrap`.
    ///
    /// - Throws: when the port cannot be had: an `IOError`, or why the host has no address.
    package func listen(host: String, port: Int) async throws -> any Channel {
        try await Wildcard.listen(
            host,
            dual: {
                try await channelOption(Wildcard.bothFamilies, value: 0).bind(host: $0, port: port).get()
            },
            single: { try await bind(host: $0, port: port).get() })
    }
}

/// Addresses that are all of a machine's.
private enum Wildcard {
    static var bothFamilies: ChannelOptions.Types.SocketOption {
        ChannelOptions.socket(SocketOptionLevel(IPPROTO_IPV6), SocketOptionName(IPV6_V6ONLY))
    }

    static func listen(
        _ host: String, dual: (_ host: String) async throws -> any Channel,
        single: (_ host: String) async throws -> any Channel
    ) async throws -> any Channel {
        guard host.isEmpty || host == "0.0.0.0" || host == "::" else { return try await single(host) }
        do {
            return try await dual("::")
        } catch let error as IOError where isWithoutIPv6(error) {
            return try await single("0.0.0.0")
        }
    }

    /// Whether the machine, or this container, has no IPv6.
    private static func isWithoutIPv6(_ error: IOError) -> Bool {
        error.errnoCode == EAFNOSUPPORT || error.errnoCode == EADDRNOTAVAIL
    }
}
