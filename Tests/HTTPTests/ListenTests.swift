import NIOCore
import NIOPosix
import Testing

@testable import HTTP

/// A wildcard that listens on IPv4 only makes a pod in an IPv6 cluster unreachable.
@Suite struct ListenTests {
    /// Whether a client reaches a port at an address of the loopback.
    private func reaches(_ host: String, _ port: Int) async -> Bool {
        let client = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        guard let channel = try? await client.connect(host: host, port: port).get() else { return false }
        try? await channel.close().get()
        return true
    }

    private func listening(_ host: String, _ body: (Int) async -> Void) async throws {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        let channel = try await bootstrap.listen(host: host, port: 0)
        await body(channel.localAddress?.port ?? 0)
        try await channel.close().get()
    }

    private static func hasIPv6() async -> Bool {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        guard let channel = try? await bootstrap.bind(host: "::1", port: 0).get() else { return false }
        try? await channel.close().get()
        return true
    }

    @Test(arguments: ["0.0.0.0", "::", ""]) func wildcardsAreBothFamilies(host: String) async throws {
        try await listening(host) { port in
            #expect(await reaches("127.0.0.1", port))
            if await Self.hasIPv6() { #expect(await reaches("::1", port)) }
        }
    }

    @Test func anAddressIsThatAlone() async throws {
        try await listening("127.0.0.1") { port in
            #expect(await reaches("127.0.0.1", port))
            #expect(await !reaches("::1", port))
        }
    }
}
