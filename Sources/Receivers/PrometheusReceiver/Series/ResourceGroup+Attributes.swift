internal import NIOCore

extension ResourceGroup {
    /// The `Resource` message: who the target is, and what its `target_info` tells.
    func attributes(scheme: String) -> [UInt8] {
        var own: [Label] = []
        if !job.isEmpty { own.append(Label("service.name", job)) }
        if !instance.isEmpty {
            own.append(Label("service.instance.id", instance))
            let (host, port) = Self.hostAndPort(instance)
            if Self.namesAHost(host) { own.append(Label("server.address", host)) }
            if !port.isEmpty { own.append(Label("server.port", port)) }
        }
        own.append(Label("url.scheme", scheme))
        var message = WireBuffer()
        message.attributes(1, own, overridden: info)
        return message.bytes
    }

    /// Splits `host:port`, `[v6]:port` or a host alone.
    static func hostAndPort(_ address: String) -> (host: String, port: String) {
        guard let colon = address.lastIndex(of: ":") else { return (address, "") }
        let port = address[address.index(after: colon)...]
        var host = address[..<colon]
        guard !port.isEmpty, port.utf8.allSatisfy(SeriesText.isDigit) else { return (address, "") }
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return (address, "")
        }
        return (String(host), String(port))
    }

    /// Whether the host means something elsewhere: no loopback address, no unspecified one.
    static func namesAHost(_ host: String) -> Bool {
        guard !host.isEmpty, host != "localhost" else { return false }
        guard let address = try? SocketAddress(ipAddress: host, port: 0) else { return true }
        switch address {
        case .v4: return !host.hasPrefix("127.") && host != "0.0.0.0"
        case .v6: return address.ipAddress != "::1" && address.ipAddress != "::"
        case .unixDomainSocket: return true
        }
    }
}
