internal import Hashing
internal import OTLP

/// A text with signatures (C2SP signed-note).
package struct SignedNote: Sendable, Equatable {
    /// One line of a signature.
    package struct Signature: Sendable, Equatable {
        /// Whose it is.
        package let name: String
        /// The key's first four bytes of identification.
        package let keyID: UInt32
        package let bytes: [UInt8]
    }

    /// What is signed; ends with a line feed.
    package let text: String
    package let signatures: [Signature]

    /// The whole note.
    package var note: String {
        text + "\n" + signatures.map { "\(Self.mark)\($0.name) \(Base64.text($0.line))\n" }.joined()
    }

    /// An em dash and a space.
    private static let mark = "\u{2014} "

    /// Signs a text with several keys.
    package init(_ text: String, signedBy signers: [SigningKey]) {
        self.text = text
        signatures = signers.map { signer in
            Signature(
                name: signer.verifier.name, keyID: signer.verifier.keyID,
                bytes: signer.sign(Array(text.utf8)))
        }
    }

    /// Reads a note; nil when it has not the form of one.
    package init?(note: String) {
        let bytes = Array(note.utf8)
        guard bytes.last == 10, bytes.count < 1 << 20,
            let gap = (1..<bytes.count).last(where: { bytes[$0] == 10 && bytes[$0 - 1] == 10 })
        else { return nil }
        text = String(decoding: bytes[..<gap], as: UTF8.self)
        var signatures: [Signature] = []
        for line in String(decoding: bytes[(gap + 1)...], as: UTF8.self).split(separator: "\n") {
            guard line.hasPrefix(Self.mark) else { return nil }
            let parts = line.dropFirst(Self.mark.count).split(
                separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty,
                let signature = Base64.decode(Array(parts[1].utf8)), signature.count > 4
            else { return nil }
            signatures.append(
                Signature(
                    name: String(parts[0]),
                    keyID: signature.prefix(4).reduce(0) { $0 << 8 | UInt32($1) },
                    bytes: Array(signature.dropFirst(4))))
        }
        guard !signatures.isEmpty, text.count > 1 else { return nil }
        self.signatures = signatures
    }

    /// Whether a key has signed it.
    package func isSigned(by verifier: VerifierKey) -> Bool {
        signatures.contains { signature in
            signature.name == verifier.name && signature.keyID == verifier.keyID
                && Ed25519.isValid(
                    signature.bytes, of: Array(text.utf8), publicKey: verifier.publicKey)
        }
    }
}

extension SignedNote.Signature {
    /// The bytes of the line: key id and signature.
    fileprivate var line: [UInt8] {
        stride(from: 24, through: 0, by: -8).map { UInt8(keyID >> UInt32($0) & 255) } + bytes
    }
}

/// A key that checks notes, and its name.
package struct VerifierKey: Sendable, Equatable {
    package let name: String
    package let publicKey: [UInt8]

    /// - Precondition: the key has 32 bytes.
    init(name: String, publicKey: [UInt8]) {
        self.name = name
        self.publicKey = publicKey
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
    package var keyID: UInt32 {
        Hash256(of: Array(name.utf8) + [10, 1] + publicKey).bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// `NAME+KEYID+BASE64(0x01 ‖ public key)`.
    package var text: String {
        let digits = String(keyID, radix: 16)
        return
            "\(name)+\(String(repeating: "0", count: 8 - digits.count))\(digits)+\(Base64.text([1] + publicKey))"
    }

    /// Reads the text; nil when it is no Ed25519 key, or its id is not the key's.
    package init?(text: some StringProtocol) {
        let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, Self.isName(parts[0]), let bytes = Base64.decode(Array(parts[2].utf8)),
            bytes.count == 1 + Ed25519.keyBytes, bytes[0] == 1
        else { return nil }
        self.init(name: String(parts[0]), publicKey: Array(bytes.dropFirst()))
        guard self.text == text else { return nil }
    }

    /// Whether a text can name a key and a log: not empty, without white space and plus signs.
    package static func isName(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && !text.contains { $0.isWhitespace || $0 == "+" }
    }
}
