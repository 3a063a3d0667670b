internal import CNettle

/// A password as `htpasswd` writes it: what is compared, not the password itself. Any thread.
package enum PasswordHash: Sendable, Equatable {
    /// `$2y$` and its kin: takes from a tenth of a millisecond to seconds, as its cost says.
    case bcrypt([UInt8])
    /// `$apr1$` and `$1$`: a thousand rounds of MD5.
    case md5Crypt(magic: [UInt8], salt: [UInt8], digits: [UInt8])
    /// `{SHA}`, and `{SSHA}` with a salt.
    case sha1(digest: [UInt8], salt: [UInt8])
    /// The password itself.
    case plain([UInt8])

    /// Whether a check of it takes so long that others notice.
    package var isSlow: Bool {
        switch self {
        case .bcrypt, .md5Crypt: true
        case .sha1, .plain: false
        }
    }

    /// Longer passwords are wrong whatever they are: `htpasswd` takes none, and `md5Crypt` digests each a thousand times.
    package static let passwordBytesMax = 255
    /// bcrypt takes 2 to the power of its cost: up to this about a third of a second.
    package static let bcryptCostMax = 12

    /// Whether it is the hash of a password. Takes as long as the kind says, right or wrong.
    package func matches(_ password: [UInt8]) -> Bool {
        guard password.count <= Self.passwordBytesMax else { return false }
        switch self {
        case .bcrypt(let text):
            // SAFETY: both are borrowed for the call, with their lengths; a zero stands behind them, which Nettle wants
            // behind the hash, and which gives an empty password an address.
            return unsafe (password + [0]).withUnsafeBufferPointer { password in
                unsafe (text + [0]).withUnsafeBufferPointer { text in
                    guard let first = password.baseAddress, let hash = text.baseAddress else { return false }
                    return unsafe cnettle_bcrypt_verify(first, password.count - 1, hash, text.count - 1) == 1
                }
            }
        case .md5Crypt(let magic, let salt, let digits):
            return areEqualSecrets(Self.md5Crypt(password, magic: magic, salt: salt), digits)
        case .sha1(let digest, let salt):
            return areEqualSecrets(Digest.sha1.bytes(of: password + salt), digest)
        case .plain(let text):
            return areEqualSecrets(password, text)
        }
    }

    /// The algorithm of FreeBSD's `crypt` with MD5, which Apache's differs from by its magic text only.
    private static func md5Crypt(_ password: [UInt8], magic: [UInt8], salt: [UInt8]) -> [UInt8] {
        let inner = Digest.md5.bytes(of: password + salt + password)
        var start = password + magic + salt
        for index in password.indices { start.append(inner[index % 16]) }
        var bits = password.count
        while bits > 0 {
            start.append(bits & 1 == 1 ? 0 : password[0])
            bits >>= 1
        }
        var digest = Digest.md5.bytes(of: start)
        for round in 0..<1000 {
            var text = round & 1 == 1 ? password : digest
            if !round.isMultiple(of: 3) { text += salt }
            if !round.isMultiple(of: 7) { text += password }
            text += round & 1 == 1 ? digest : password
            digest = Digest.md5.bytes(of: text)
        }
        let alphabet = Array("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        var digits: [UInt8] = []
        func write(_ bytes: [Int], count: Int) {
            var word = bytes.reduce(0) { $0 << 8 | Int(digest[$1]) }
            for _ in 0..<count {
                digits.append(alphabet[word & 63])
                word >>= 6
            }
        }
        for index in 0..<5 { write([index, index + 6, index == 4 ? 5 : index + 12], count: 4) }
        write([11], count: 2)
        return digits
    }
}

/// Whether two texts are the same. How long it takes tells their lengths, and not where they differ. Any thread.
package func areEqualSecrets(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    guard one.count == other.count else { return false }
    var difference: UInt8 = 0
    for (a, b) in zip(one, other) { difference |= a ^ b }
    return difference == 0
}
