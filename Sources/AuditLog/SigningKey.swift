internal import Glibc
internal import Hashing
internal import OTLP

/// What is wrong with a key or a keyring.
package struct KeyError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
}

/// An Ed25519 key that signs notes under a name. Printing one shows nothing of it.
package struct SigningKey: Sendable, CustomStringConvertible {
    private let privateKey: [UInt8]
    /// What checks its signatures.
    package let verifier: VerifierKey

    /// - Precondition: the key has 32 bytes.
    package init(name: String, privateKey: [UInt8]) {
        self.privateKey = privateKey
        verifier = VerifierKey(name: name, publicKey: Ed25519.publicKey(of: privateKey))
    }

    package var description: String { "SigningKey(\(verifier.text))" }

    /// Signs a message.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        Ed25519.sign(message, privateKey: privateKey, publicKey: verifier.publicKey)
    }

    /// A new one, of the system's random numbers.
    package static func random(name: String) -> SigningKey {
        var generator = SystemRandomNumberGenerator()
        return SigningKey(
            name: name,
            privateKey: (0..<Ed25519.keyBytes).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    // MARK: - PKCS#8 (RFC 8410 section 7)

    /// Version 0, the algorithm Ed25519 without parameters, an octet string in an octet string of 32 bytes.
    private static let prefix: [UInt8] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]
    private static let head = "-----BEGIN PRIVATE KEY-----"
    private static let foot = "-----END PRIVATE KEY-----"

    /// The key as a PEM file.
    package var pem: String {
        "\(Self.head)\n\(Base64.text(Self.prefix + privateKey))\n\(Self.foot)\n"
    }

    /// Reads a PEM file's text.
    package init(pem: String, name: String, path: String) throws(KeyError) {
        guard VerifierKey.isName(name) else {
            throw KeyError(
                description: "\"\(name)\" cannot name a key: white space, a plus sign, or nothing")
        }
        let lines = pem.split(whereSeparator: \.isNewline).map { $0.filter { !$0.isWhitespace } }
        let trimmed = lines.filter { !$0.isEmpty }
        guard trimmed.count >= 3, trimmed.first == Self.head.filter({ $0 != " " }),
            trimmed.last == Self.foot.filter({ $0 != " " }),
            let der = Base64.decode(Array(trimmed.dropFirst().dropLast().joined().utf8))
        else {
            throw KeyError(
                description: "\"\(path)\" holds no PEM file of a private key (\"\(Self.head)\"); "
                    + "sluice audit keygen makes one")
        }
        guard der.starts(with: Self.prefix), der.count == Self.prefix.count + Ed25519.keyBytes else {
            throw KeyError(
                description:
                    "\"\(path)\" holds no Ed25519 key in PKCS#8 (RFC 8410); sluice audit keygen makes one, "
                    + "and openssl genpkey -algorithm ed25519")
        }
        self.init(name: name, privateKey: Array(der.dropFirst(Self.prefix.count)))
    }

    /// Reads a key file that only its owner may read. Blocks.
    package init(path: String, name: String) throws(KeyError) {
        let text = try KeyFile.read(path, isPrivate: true)
        try self.init(pem: text, name: name, path: path)
    }

    /// Writes the key to a file that must not be there, readable by its owner only. Blocks.
    package func write(to path: String) throws(KeyError) {
        try KeyFile.create(path, pem)
    }
}

/// Small files with keys.
package enum KeyFile {
    private static let bytesMax = 1 << 20

    /// The text of a file.
    /// - Parameter isPrivate: refuses one that others than its owner may read or write, but for a file of root that a group reads.
    package static func read(_ path: String, isPrivate: Bool) throws(KeyError) -> String {
        // SAFETY: the path is a C string for the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("read", path, errno) }
        defer { close(file) }
        var status = stat()
        // SAFETY: fills the status, which outlives the call.
        guard unsafe fstat(file, &status) == 0 else { throw failure("read", path, errno) }
        // Kubernetes gives a secret's files to root and lets the pod's group (fsGroup) read them; libpq takes such keys, too.
        let isOfRootForGroup = status.st_uid == 0 && geteuid() != 0
        if isPrivate, status.st_mode & (isOfRootForGroup ? 0o037 : 0o077) != 0 {
            throw KeyError(
                description: "others than its owner may read \"\(path)\" (mode "
                    + "\(String(status.st_mode & 0o777, radix: 8))); run chmod 600 on it, and think about a new key"
            )
        }
        // Its owner may read and replace it.
        if isPrivate, status.st_uid != geteuid(), status.st_uid != 0 {
            throw KeyError(
                description: "\"\(path)\" belongs to user \(status.st_uid), who may read it; give it to user "
                    + "\(geteuid()) (chown), and think about a new key")
        }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while true {
            // SAFETY: the part has room for as many bytes as are asked for.
            let count = unsafe part.withUnsafeMutableBytes {
                unsafe Glibc.read(file, $0.baseAddress, $0.count)
            }
            guard count >= 0 else { throw failure("read", path, errno) }
            guard count > 0 else { break }
            bytes += part[..<count]
            guard bytes.count <= bytesMax else {
                throw KeyError(description: "\"\(path)\" has more than \(bytesMax) bytes, too many for keys")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw KeyError(description: "\"\(path)\" is not UTF-8 text")
        }
        return text
    }

    /// Makes a new file with mode 0600, synced to the disk.
    package static func create(_ path: String, _ text: String) throws(KeyError) {
        try create(path, Array(text.utf8))
    }

    private static func create(_ path: String, _ bytes: [UInt8]) throws(KeyError) {
        // SAFETY: the path is a C string for the call.
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("make", path, errno) }
        defer { close(file) }
        var left = bytes[...]
        while !left.isEmpty {
            // SAFETY: the bytes live through the call.
            let count = unsafe left.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw failure("write", path, errno) }
            left = left.dropFirst(count)
        }
        guard fsync(file) == 0 else { throw failure("write", path, errno) }
    }

    /// Puts new bytes in the place of a file at once: readers see the old one or the new one, whole.
    package static func replace(_ path: String, _ bytes: [UInt8]) throws(KeyError) {
        let draft = path + ".new"
        // SAFETY: the paths are C strings for the calls.
        unsafe unlink(draft)
        try create(draft, bytes)
        guard unsafe rename(draft, path) == 0 else { throw failure("replace", path, errno) }
    }

    private static func failure(_ verb: String, _ path: String, _ code: Int32) -> KeyError {
        // SAFETY: a known code's text is static, an unknown one's belongs to this thread; copied at once.
        let reason = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "errno \(code)"
        return KeyError(description: "cannot \(verb) \"\(path)\": \(reason)")
    }
}
