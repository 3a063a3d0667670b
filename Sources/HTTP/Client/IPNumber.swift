internal import Glibc

/// An address of IPv4 or IPv6 as bytes, the first one first.
struct IPNumber: Sendable, Hashable {
    let bytes: [UInt8]

    /// nil when the text is no address.
    init?(_ text: String) {
        for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: count)
            // SAFETY: writes as many bytes as the family's addresses have, which the array holds.
            let code = unsafe inet_pton(family, text, &bytes)
            if code == 1 {
                self.bytes = bytes
                return
            }
        }
        return nil
    }

    /// Whether it is one of this host.
    var isLoopback: Bool {
        bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }

    /// Whether its first bits are a network's.
    func isIn(_ network: IPNumber, bits: Int) -> Bool {
        guard bytes.count == network.bytes.count, (0...bytes.count * 8).contains(bits) else { return false }
        let whole = bits / 8
        guard bytes[..<whole] == network.bytes[..<whole] else { return false }
        let rest = bits % 8
        guard rest > 0 else { return true }
        let mask = UInt8.max << UInt8(8 - rest)
        return bytes[whole] & mask == network.bytes[whole] & mask
    }
}
