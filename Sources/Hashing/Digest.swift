internal import CNettle

/// A hash function of values that processors replace by their digest. Any thread.
package enum Digest: String, Sendable, CaseIterable {
    case md5
    case sha1
    case sha256
    case sha512
    /// SHA3-256 (FIPS 202).
    case sha3

    /// The digest's bytes.
    package func bytes(of data: [UInt8]) -> [UInt8] {
        unsafe digest { output in
            unsafe data.withUnsafeBufferPointer { data in
                // SAFETY: data is borrowed for the call, and the output has room for the longest digest.
                unsafe cnettle_digest(algorithm, data.baseAddress, data.count, output)
            }
        }
    }

    /// The digest in lower-case hexadecimal.
    package func hex(of data: [UInt8]) -> [UInt8] { Self.hexadecimal(bytes(of: data)) }

    /// The HMAC (RFC 2104) in lower-case hexadecimal; of `sha256` and `sha512` only.
    package func hex(of data: [UInt8], key: [UInt8]) -> [UInt8] {
        precondition(self == .sha256 || self == .sha512, "no HMAC of \(rawValue)")
        let code = unsafe digest { output in
            unsafe data.withUnsafeBufferPointer { data in
                unsafe key.withUnsafeBufferPointer { key in
                    // SAFETY: both are borrowed for the call, and the output has room for the longest digest.
                    unsafe cnettle_hmac(
                        algorithm, key.baseAddress, key.count, data.baseAddress, data.count, output)
                }
            }
        }
        return Self.hexadecimal(code)
    }

    /// Bytes in lower-case hexadecimal.
    package static func hexadecimal(_ bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digit(byte >> 4))
            text.append(digit(byte & 15))
        }
        return text
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private var algorithm: cnettle_algorithm {
        switch self {
        case .md5: CNETTLE_MD5
        case .sha1: CNETTLE_SHA1
        case .sha256: CNETTLE_SHA256
        case .sha512: CNETTLE_SHA512
        case .sha3: CNETTLE_SHA3_256
        }
    }

    private func digest(_ fill: (UnsafeMutablePointer<UInt8>) -> Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: Int(CNETTLE_DIGEST_BYTES_MAX)) { output, count in
            // SAFETY: the output has an address, since its capacity is not 0.
            count = unsafe fill(output.baseAddress.unsafelyUnwrapped)
        }
    }
}
