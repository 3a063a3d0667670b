extension XXH3 {
    static func hash128(_ data: [UInt8]) -> (high: UInt64, low: UInt64) {
        let count = data.count
        switch count {
        case 0:
            return (
                avalanche64(secret.little(80, 8) ^ secret.little(88, 8)),
                avalanche64(secret.little(64, 8) ^ secret.little(72, 8))
            )
        case 1...3: return upTo3(data)
        case 4...8: return upTo8(data)
        case 9...16: return upTo16(data)
        case 17...128:
            var (low, high) = (UInt64(count) &* prime64.0, UInt64(0))
            for step in (0...((count - 1) / 32)).reversed() {
                mix32(&low, &high, data, step * 16, count - 16 - step * 16, step * 32)
            }
            return finished(low, high, count)
        case 129...240:
            var (low, high) = (UInt64(count) &* prime64.0, UInt64(0))
            for step in 0..<4 { mix32(&low, &high, data, step * 32, step * 32 + 16, step * 32) }
            (low, high) = (avalanche(low), avalanche(high))
            for step in 4..<count / 32 { mix32(&low, &high, data, step * 32, step * 32 + 16, (step - 4) * 32 + 3) }
            mix32(&low, &high, data, count - 16, count - 32, 136 - 17 - 16)
            return finished(low, high, count)
        default:
            let lanes = accumulated(data)
            return (
                merged(lanes, 192 - 64 - 11, ~(UInt64(count) &* prime64.1)),
                merged(lanes, 11, UInt64(count) &* prime64.0)
            )
        }
    }

    private static func upTo3(_ data: [UInt8]) -> (high: UInt64, low: UInt64) {
        let count = data.count
        let low =
            UInt32(data[0]) << 16 | UInt32(data[count >> 1]) << 24 | UInt32(data[count - 1]) | UInt32(count) << 8
        let swapped = low.byteSwapped
        let high = swapped << 13 | swapped >> 19
        return (
            avalanche64(UInt64(high) ^ (secret.little(8, 4) ^ secret.little(12, 4))),
            avalanche64(UInt64(low) ^ (secret.little(0, 4) ^ secret.little(4, 4)))
        )
    }

    private static func upTo8(_ data: [UInt8]) -> (high: UInt64, low: UInt64) {
        let count = data.count
        let input = data.little(0, 4) &+ data.little(count - 4, 4) << 32
        let keyed = input ^ (secret.little(16, 8) ^ secret.little(24, 8))
        let product = keyed.multipliedFullWidth(by: prime64.0 &+ UInt64(count) << 2)
        var (low, high) = (product.low, product.high)
        high &+= low << 1
        low ^= high >> 3
        low = (low ^ low >> 35) &* 0x9FB2_1C65_1E98_DF25
        low ^= low >> 28
        return (avalanche(high), low)
    }

    private static func upTo16(_ data: [UInt8]) -> (high: UInt64, low: UInt64) {
        let count = data.count
        let keyLow = secret.little(32, 8) ^ secret.little(40, 8)
        let keyHigh = secret.little(48, 8) ^ secret.little(56, 8)
        let (first, last) = (data.little(0, 8), data.little(count - 8, 8))
        let product = (first ^ last ^ keyLow).multipliedFullWidth(by: prime64.0)
        let low = product.low &+ UInt64(count - 1) << 54
        let keyed = last ^ keyHigh
        let high = product.high &+ keyed &+ (keyed & 0xFFFF_FFFF) &* (prime32.1 - 1)
        let last128 = (low ^ high.byteSwapped).multipliedFullWidth(by: prime64.1)
        return (avalanche(last128.high &+ high &* prime64.1), avalanche(last128.low))
    }

    private static func mix32(
        _ low: inout UInt64, _ high: inout UInt64, _ data: [UInt8], _ first: Int, _ second: Int, _ secretAt: Int
    ) {
        low &+= mix16(data, first, secretAt)
        low ^= data.little(second, 8) &+ data.little(second + 8, 8)
        high &+= mix16(data, second, secretAt + 16)
        high ^= data.little(first, 8) &+ data.little(first + 8, 8)
    }

    private static func finished(_ low: UInt64, _ high: UInt64, _ count: Int) -> (high: UInt64, low: UInt64) {
        let sum = low &+ high
        let rest = low &* prime64.0 &+ high &* prime64.3 &+ UInt64(count) &* prime64.1
        return (0 &- avalanche(rest), avalanche(sum))
    }
}
