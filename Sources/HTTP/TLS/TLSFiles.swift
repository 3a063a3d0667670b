internal import Configuration
internal import Glibc
internal import NIOCore
internal import NIOSSL

/// What is wrong with certificates and keys.
package struct TLSProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The key below `tls` to change; nil for the section as a whole.
    package let key: String?
    /// What is wrong, with the file's name; never a key's text.
    package let message: String
    /// Whether a file is not there at all.
    let isMissingFile: Bool

    init(_ key: String?, _ message: String, isMissingFile: Bool = false) {
        self.key = key
        self.message = message
        self.isMissingFile = isMissingFile
    }

    package var description: String { key.map { "tls::\($0): \(message)" } ?? "tls: \(message)" }
}

/// Reads certificates and keys. Blocks: not for event loops.
enum TLSFiles {
    /// No chain or list of authorities is as large.
    private static let bytesMax = 8 << 20

    static func certificates(_ material: TLSMaterial, _ name: String) throws(TLSProblem)
        -> [NIOSSLCertificate]
    {
        let bytes = try read(material, name)
        do {
            return try NIOSSLCertificate.fromPEMBytes(bytes)
        } catch {
            throw TLSProblem(key(material, name), "\(place(material)) holds no certificate in PEM form")
        }
    }

    static func privateKey(_ material: TLSMaterial) throws(TLSProblem) -> NIOSSLPrivateKey {
        let bytes = try read(material, "key")
        do {
            return try NIOSSLPrivateKey(bytes: bytes, format: .pem)
        } catch {
            throw TLSProblem(
                key(material, "key"),
                "\(place(material)) holds no private key in PEM form without a passphrase")
        }
    }

    private static func key(_ material: TLSMaterial, _ name: String) -> String {
        if name.contains("_file") { return name }
        switch material {
        case .file: return name + "_file"
        case .pem: return name + "_pem"
        }
    }

    private static func place(_ material: TLSMaterial) -> String {
        switch material {
        case .file(let path): "\"\(path)\""
        case .pem: "the text"
        }
    }

    private static func read(_ material: TLSMaterial, _ name: String) throws(TLSProblem) -> [UInt8] {
        switch material {
        case .pem(let text): return Array(text.value.utf8)
        case .file(let path): return try read(path, key(material, name))
        }
    }

    private static func read(_ path: String, _ key: String) throws(TLSProblem) -> [UInt8] {
        // SAFETY: the path is a zero-terminated text for the call; `errno` is this thread's own.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path, key) }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            // SAFETY: reads at most as much as the chunk has room for.
            let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return bytes }
            guard count > 0 else { throw unreadable(path, key) }
            bytes += chunk[..<count]
            guard bytes.count <= bytesMax else {
                throw TLSProblem(key, "\"\(path)\" is larger than \(bytesMax >> 20) MiB")
            }
        }
    }

    private static func unreadable(_ path: String, _ key: String) -> TLSProblem {
        let code = errno
        // SAFETY: a constant text, or one of this thread, copied at once.
        let reason = unsafe String(cString: strerror(code))
        return TLSProblem(key, "cannot read \"\(path)\": \(reason)", isMissingFile: code == ENOENT)
    }
}

extension TLSConfig {
    /// The part of a context that clients and servers share, but for files.
    func apply(to tls: inout TLSConfiguration) {
        tls.minimumTLSVersion = minVersion.nio
        tls.maximumTLSVersion = maxVersion?.nio
        let names = cipherSuites.isEmpty ? Self.usualSuites : cipherSuites
        tls.cipherSuiteValues = names.compactMap { Self.suites[$0] }
        if !curvePreferences.isEmpty {
            tls.curves = curvePreferences.compactMap { Self.curveValues[$0] }
        }
    }

    /// The own chain and its key; nil when there are none. Blocks.
    func identity() throws(TLSProblem) -> (chain: [NIOSSLCertificateSource], key: NIOSSLPrivateKeySource)? {
        guard let certificate, let key else { return nil }
        let chain = try TLSFiles.certificates(certificate, "cert")
        return (chain.map { .certificate($0) }, .privateKey(try TLSFiles.privateKey(key)))
    }

    private static let curveValues: [String: NIOTLSCurve] = [
        "X25519": .x25519, "P256": .secp256r1, "P384": .secp384r1, "P521": .secp521r1,
        "X25519MLKEM768": .x25519_MLKEM768,
    ]

    /// Of TLS 1.2, best first: those with forward secrecy, so that a key that is stolen later opens nothing.
    static let usualSuites = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    ]

    private static let suites: [String: NIOTLSCipher] = [
        "TLS_RSA_WITH_AES_128_CBC_SHA": .TLS_RSA_WITH_AES_128_CBC_SHA,
        "TLS_RSA_WITH_AES_256_CBC_SHA": .TLS_RSA_WITH_AES_256_CBC_SHA,
        "TLS_RSA_WITH_AES_128_GCM_SHA256": .TLS_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_RSA_WITH_AES_256_GCM_SHA384": .TLS_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": .TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": .TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": .TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": .TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ]
}

extension TLSVersionName {
    fileprivate var nio: TLSVersion {
        switch self {
        case .v10: .tlsv1
        case .v11: .tlsv11
        case .v12: .tlsv12
        case .v13: .tlsv13
        }
    }
}

/// Makes a context, naming what is wrong with it. Blocks.
func makeTLSContext(_ configuration: TLSConfiguration) throws(TLSProblem) -> NIOSSLContext {
    do {
        return try NIOSSLContext(configuration: configuration)
    } catch NIOSSLError.failedToLoadPrivateKey {
        // Certificate and key were each read well.
        throw TLSProblem("key_file", "the key does not belong to the certificate")
    } catch {
        throw TLSProblem(nil, TransportFault.text(error))
    }
}
