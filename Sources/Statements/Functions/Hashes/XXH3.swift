/// XXH3 by Yann Collet, seed 0, default secret: not cryptographic.
enum XXH3 {
    static let secret: [UInt8] = [
        0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
        0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
        0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
        0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
        0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
        0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
        0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
        0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
        0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
        0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
        0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
        0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
    ]

    static let prime32: (UInt64, UInt64, UInt64) = (0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D)
    static let prime64: (UInt64, UInt64, UInt64, UInt64, UInt64) = (
        0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63,
        0x27D4_EB2F_1656_67C5
    )
    private static let stripeBytes = 64
    private static let blockStripes = (192 - 64) / 8

    static func folded(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.low ^ product.high
    }

    static func avalanche(_ hash: UInt64) -> UInt64 {
        let mixed = (hash ^ hash >> 37) &* 0x1656_6791_9E37_79F9
        return mixed ^ mixed >> 32
    }

    /// The last steps of the older XXH64.
    static func avalanche64(_ hash: UInt64) -> UInt64 {
        var hash = (hash ^ hash >> 33) &* prime64.1
        hash = (hash ^ hash >> 29) &* prime64.2
        return hash ^ hash >> 32
    }

    static func mix16(_ data: [UInt8], _ at: Int, _ secretAt: Int) -> UInt64 {
        folded(
            data.little(at, 8) ^ secret.little(secretAt, 8), data.little(at + 8, 8) ^ secret.little(secretAt + 8, 8))
    }

    // MARK: - 64 bits

    static func hash64(_ data: [UInt8]) -> UInt64 {
        let count = data.count
        switch count {
        case 0: return avalanche64(secret.little(56, 8) ^ secret.little(64, 8))
        case 1...3:
            let combined =
                UInt64(data[0]) << 16 | UInt64(data[count >> 1]) << 24 | UInt64(data[count - 1])
                | UInt64(count) << 8
            return avalanche64(combined ^ (secret.little(0, 4) ^ secret.little(4, 4)))
        case 4...8:
            let input = data.little(count - 4, 4) &+ data.little(0, 4) << 32
            var hash = input ^ (secret.little(8, 8) ^ secret.little(16, 8))
            hash ^= hash.rotated(49) ^ hash.rotated(24)
            hash = hash &* 0x9FB2_1C65_1E98_DF25
            hash ^= (hash >> 35) &+ UInt64(count)
            hash = hash &* 0x9FB2_1C65_1E98_DF25
            return hash ^ hash >> 28
        case 9...16:
            let low = data.little(0, 8) ^ (secret.little(24, 8) ^ secret.little(32, 8))
            let high = data.little(count - 8, 8) ^ (secret.little(40, 8) ^ secret.little(48, 8))
            return avalanche(UInt64(count) &+ low.byteSwapped &+ high &+ folded(low, high))
        case 17...128:
            var sum = UInt64(count) &* prime64.0
            for step in (0...((count - 1) / 32)).reversed() {
                sum &+= mix16(data, step * 16, step * 32)
                sum &+= mix16(data, count - 16 - step * 16, step * 32 + 16)
            }
            return avalanche(sum)
        case 129...240:
            var sum = UInt64(count) &* prime64.0
            for step in 0..<8 { sum &+= mix16(data, step * 16, step * 16) }
            sum = avalanche(sum)
            for step in 8..<count / 16 { sum &+= mix16(data, step * 16, (step - 8) * 16 + 3) }
            return avalanche(sum &+ mix16(data, count - 16, 136 - 17))
        default:
            return merged(accumulated(data), 11, UInt64(count) &* prime64.0)
        }
    }

    // MARK: - Long inputs

    static func accumulated(_ data: [UInt8]) -> [UInt64] {
        var lanes: [UInt64] = [
            prime32.2, prime64.0, prime64.1, prime64.2, prime64.3, prime32.1, prime64.4, prime32.0,
        ]
        let blockBytes = stripeBytes * blockStripes
        let blocks = (data.count - 1) / blockBytes
        for block in 0..<blocks {
            for stripe in 0..<blockStripes {
                accumulate(&lanes, data, block * blockBytes + stripe * stripeBytes, stripe * 8)
            }
            for lane in 0..<8 {
                let key = secret.little(192 - 64 + lane * 8, 8)
                lanes[lane] = (lanes[lane] ^ lanes[lane] >> 47 ^ key) &* prime32.0
            }
        }
        let stripes = (data.count - 1 - blockBytes * blocks) / stripeBytes
        for stripe in 0..<stripes {
            accumulate(&lanes, data, blocks * blockBytes + stripe * stripeBytes, stripe * 8)
        }
        accumulate(&lanes, data, data.count - stripeBytes, 192 - stripeBytes - 7)
        return lanes
    }

    private static func accumulate(_ lanes: inout [UInt64], _ data: [UInt8], _ at: Int, _ secretAt: Int) {
        for lane in 0..<8 {
            let word = data.little(at + lane * 8, 8)
            let keyed = word ^ secret.little(secretAt + lane * 8, 8)
            lanes[lane ^ 1] &+= word
            lanes[lane] &+= (keyed & 0xFFFF_FFFF) &* (keyed >> 32)
        }
    }

    static func merged(_ lanes: [UInt64], _ secretAt: Int, _ start: UInt64) -> UInt64 {
        var result = start
        for pair in 0..<4 {
            result &+= folded(
                lanes[2 * pair] ^ secret.little(secretAt + 16 * pair, 8),
                lanes[2 * pair + 1] ^ secret.little(secretAt + 16 * pair + 8, 8))
        }
        return avalanche(result)
    }
}
