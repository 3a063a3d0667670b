internal import CHogweed

/// Signatures of Ed25519 (RFC 8032), as Nettle makes them: deterministic. Any thread.
package enum Ed25519 {
    /// Bytes of a private and of a public key.
    package static let keyBytes = 32
    /// Bytes of a signature.
    package static let signatureBytes = 64

    /// The public key of a private one.
    /// - Precondition: the key has `keyBytes`.
    package static func publicKey(of privateKey: [UInt8]) -> [UInt8] {
        precondition(privateKey.count == keyBytes, "a private key has 32 bytes")
        return unsafe [UInt8](unsafeUninitializedCapacity: keyBytes) { output, count in
            // SAFETY: the key has 32 bytes, and the output has room for 32.
            unsafe chogweed_public_key(privateKey, output.baseAddress.unsafelyUnwrapped)
            count = keyBytes
        }
    }

    /// Signs a message.
    /// - Precondition: the keys belong together and have `keyBytes` each.
    package static func sign(_ message: [UInt8], privateKey: [UInt8], publicKey: [UInt8]) -> [UInt8] {
        precondition(
            privateKey.count == keyBytes && publicKey.count == keyBytes, "the keys have 32 bytes each")
        return unsafe [UInt8](unsafeUninitializedCapacity: signatureBytes) { output, count in
            // SAFETY: both keys have 32 bytes, the message its count, and the output has room for 64.
            unsafe chogweed_sign(
                privateKey, publicKey, message, message.count, output.baseAddress.unsafelyUnwrapped)
            count = signatureBytes
        }
    }

    /// Whether the signature is the key's of the message; false for one of another length, too.
    package static func isValid(_ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]) -> Bool {
        guard signature.count == signatureBytes, publicKey.count == keyBytes else { return false }
        // SAFETY: the lengths were checked, and all three are borrowed for the call.
        return unsafe chogweed_verify(publicKey, message, message.count, signature) == 1
    }
}
