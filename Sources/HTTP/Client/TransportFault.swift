internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// Errors of names, sockets and TLS in words that an operator understands. Any thread.
package enum TransportFault {
    /// One line, without the peer's name.
    package static func text(_ error: any Error) -> String {
        switch error {
        case let error as IOError: return reason(error)
        case ChannelError.connectTimeout(let time):
            return "no connection within \(time.nanoseconds / 1_000_000) ms"
        case let error as NIOConnectionError: return text(error)
        case let error as NIOSSLError: return text(error)
        case let error as BoringSSLError: return words(error)
        case ChannelError.eof: return "the other side ended it"
        default: return "\(error)"
        }
    }

    /// Whether TLS is at fault.
    static func isTLS(_ error: any Error) -> Bool {
        error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError
            || error is HandshakeTimeout
            || error is WrongServer
    }

    private static func text(_ error: NIOSSLError) -> String {
        switch error {
        case .handshakeFailed(let reason): return hint(words(reason))
        case .uncleanShutdown:
            return "it ended without a word of TLS; the server may want a client certificate (tls::cert_file)"
        case .unableToValidateCertificate: return hint("CERTIFICATE_VERIFY_FAILED")
        default: return "\(error)"
        }
    }

    /// BoringSSL's own words, such as `CERTIFICATE_VERIFY_FAILED`, without numbers and places in its source.
    private static func words(_ error: BoringSSLError) -> String {
        let stack: NIOBoringSSLErrorStack
        switch error {
        case .sslError(let found), .unknownError(let found), .invalidSNIName(let found),
            .failedToSetALPN(let found):
            stack = found
        default: return "\(error)"
        }
        let texts = stack.map { entry in
            let text = "\(entry)"
            guard let at = text.utf8.lastIndex(of: UInt8(ascii: "/")),
                let colon = text[..<at].range(ofWord: "OPENSSL_internal:")
            else { return text }
            return String(text[colon...].prefix { $0 != " " })
        }
        return texts.isEmpty ? "\(error)" : texts.joined(separator: ", ")
    }

    private static func hint(_ words: String) -> String {
        if words.contains("CERTIFICATE_VERIFY_FAILED") {
            return words + ": the server's certificate is not trusted; name its authority in tls::ca_file"
        }
        if words.contains("WRONG_VERSION_NUMBER") || words.contains("HTTP_REQUEST") {
            return words
                + ": the server does not speak TLS; write tls::insecure: true (gRPC) or http:// if that is right"
        }
        if words.contains("EOF during handshake") {
            return "the server ended the handshake; does it speak TLS, and does it want a client certificate"
                + " (tls::cert_file)?"
        }
        return words
    }

    private static func text(_ error: NIOConnectionError) -> String {
        if let first = error.connectionErrors.first { return text(first.error) }
        if error.dnsAError != nil || error.dnsAAAAError != nil {
            return "no address is known for \(error.host)"
        }
        return "\(error)"
    }

    /// The system's words alone: NIO puts the name of its own call before them.
    private static func reason(_ error: IOError) -> String {
        // SAFETY: a constant text, or one of this thread, copied at once.
        unsafe String(cString: strerror(error.errnoCode))
    }
}

extension Substring {
    /// The index behind the first occurrence of a word.
    fileprivate func range(ofWord word: String) -> Index? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(word) { return index(start, offsetBy: word.count) }
            start = index(after: start)
        }
        return nil
    }
}
