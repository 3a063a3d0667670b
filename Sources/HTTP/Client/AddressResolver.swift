internal import Glibc
package import NIOCore
internal import NIOPosix

/// Why a name has no addresses, in words.
package struct ResolutionError: Error, CustomStringConvertible, Equatable {
    package let description: String

    /// Takes the words.
    package init(_ description: String) { self.description = description }
}

/// Finds the addresses of names. Any thread; never blocks the caller.
package protocol AddressResolver: Sendable {
    /// All addresses of a name, none twice, in the order of the system's preference. Never empty when it succeeds.
    func resolve(_ host: String, port: Int, on eventLoop: any EventLoop) -> EventLoopFuture<[SocketAddress]>
}

/// The system's resolver: `/etc/hosts`, DNS and whatever else `nsswitch.conf` names.
///
/// `getaddrinfo` blocks, for many seconds when a server does not answer: it has threads of its own, made with the first
/// question.
package final class SystemResolver: AddressResolver {
    package static let shared = SystemResolver()

    private let threads: NIOThreadPool

    private init() {
        threads = NIOThreadPool(numberOfThreads: 4)
        threads.start()
    }

    package func resolve(
        _ host: String, port: Int, on eventLoop: any EventLoop
    ) -> EventLoopFuture<[SocketAddress]> {
        threads.runIfActive(eventLoop: eventLoop) { try Self.lookUp(host, port) }
    }

    /// Blocks.
    private static func lookUp(_ host: String, _ port: Int) throws(ResolutionError) -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            // SAFETY: gai_strerror's texts are static.
            let words =
                unsafe code == EAI_SYSTEM
                ? String(cString: strerror(errno)) : String(cString: gai_strerror(code))
            throw ResolutionError("the name \(host) cannot be resolved: \(words)")
        }
        defer { unsafe freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            unsafe next = entry.pointee.ai_next
            guard let bytes = unsafe entry.pointee.ai_addr else { continue }
            let address: SocketAddress
            // SAFETY: the family says what the address is; getaddrinfo gives it whole.
            switch unsafe entry.pointee.ai_family {
            case AF_INET:
                address = SocketAddress(
                    unsafe UnsafeRawPointer(bytes).loadUnaligned(as: sockaddr_in.self))
            case AF_INET6:
                address = SocketAddress(
                    unsafe UnsafeRawPointer(bytes).loadUnaligned(as: sockaddr_in6.self))
            default: continue
            }
            if !found.contains(address) { found.append(address) }
        }
        guard !found.isEmpty else { throw ResolutionError("the name \(host) has no addresses") }
        return found
    }
}

/// Gives a connection attempt the addresses that are known already.
package final class KnownAddresses: Resolver, Sendable {
    private let addresses: [SocketAddress]
    private let eventLoop: any EventLoop

    /// - Parameter eventLoop: the attempt's.
    package init(_ addresses: [SocketAddress], eventLoop: any EventLoop) {
        self.addresses = addresses
        self.eventLoop = eventLoop
    }

    package func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        eventLoop.makeSucceededFuture(addresses.filter { $0.protocol == .inet })
    }

    package func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        eventLoop.makeSucceededFuture(addresses.filter { $0.protocol == .inet6 })
    }

    package func cancelQueries() {}
}

extension SocketAddress {
    /// The address of a text that is one, not a name.
    package static func literal(_ host: String, port: Int) -> SocketAddress? {
        try? SocketAddress(ipAddress: host, port: port)
    }

    /// `address:port`, an IPv6 address in brackets.
    package var text: String {
        let host = ipAddress ?? ""
        return host.contains(":") ? "[\(host)]:\(port ?? 0)" : "\(host):\(port ?? 0)"
    }
}
