internal import Glibc
internal import NIOSSL

/// The name or address that a server's certificate must be for (RFC 9525).
///
/// Stricter than the library's own check, which takes a certificate for the address that was reached in place of one
/// for the name that was asked for: who can lie about names has an address, too. Common names are not looked at.
enum ServerName: Sendable {
    case name(String)
    /// 4 or 16 bytes, in network order.
    case address([UInt8], text: String)

    /// - Parameter text: a name or an address without brackets.
    init(_ text: String) {
        if let bytes = Self.bytes(text, AF_INET, 4) ?? Self.bytes(text, AF_INET6, 16) {
            self = .address(bytes, text: text)
        } else {
            self = .name(text.last == "." ? String(text.dropLast()) : text)
        }
    }

    private static func bytes(_ text: String, _ family: Int32, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        // SAFETY: writes as many bytes as an address of the family has, which is `count`.
        return unsafe inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }

    /// What is announced in the handshake; addresses are not (RFC 6066 §3).
    var announced: String? {
        switch self {
        case .name(let name): name
        case .address: nil
        }
    }

    /// Whether the certificate is for this server.
    func check(_ certificate: NIOSSLCertificate) throws(WrongServer) {
        var names: [String] = []
        for entry in certificate._subjectAlternativeNames() {
            let contents = Array(entry.contents)
            switch (entry.nameType, self) {
            case (.dnsName, .name(let name)):
                let pattern = String(decoding: contents, as: UTF8.self)
                if Self.matches(pattern, name) { return }
                names.append(pattern)
            case (.dnsName, _): names.append(String(decoding: contents, as: UTF8.self))
            case (.ipAddress, .address(let bytes, _)):
                if contents == bytes { return }
                names.append("another address")
            default: break
            }
        }
        switch self {
        case .name(let name), .address(_, let name): throw WrongServer(wanted: name, found: names)
        }
    }

    /// Whether a name of a certificate stands for a host: the same but for case, or `*` for the whole first label.
    static func matches(_ pattern: String, _ name: String) -> Bool {
        let pattern = Array(pattern.lowercased().utf8)
        let name = Array(name.lowercased().utf8)
        guard !name.isEmpty else { return false }
        guard pattern.starts(with: [UInt8(ascii: "*"), UInt8(ascii: ".")]) else { return pattern == name }
        let rest = pattern.dropFirst()
        guard let dot = name.firstIndex(of: UInt8(ascii: ".")), dot > 0 else { return false }
        // Not for a whole top-level domain, and one asterisk is enough.
        return rest.dropFirst().contains(UInt8(ascii: ".")) && !rest.contains(UInt8(ascii: "*"))
            && name[dot...].elementsEqual(rest)
    }
}

/// The server's certificate is another one's.
struct WrongServer: Error, CustomStringConvertible {
    let wanted: String
    let found: [String]

    var description: String {
        let names = found.isEmpty ? "nobody" : found.prefix(10).joined(separator: ", ")
        return "the server's certificate is not for \"\(wanted)\" but for \(names);"
            + " tls::server_name_override says which name to expect"
    }
}
