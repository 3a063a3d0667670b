internal import Glibc

/// Does something a thousand times with random numbers, or as long as SLUICE_FUZZ_SECONDS says.
package func fuzz(seed: UInt64, _ body: (inout SeededRandom) -> Void) {
    var random = SeededRandom(seed: seed)
    guard let text = getenv("SLUICE_FUZZ_SECONDS"), let seconds = Int(String(cString: text)) else {
        for _ in 0..<1000 { body(&random) }
        return
    }
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end { body(&random) }
}

extension SeededRandom {
    /// The bytes with up to five of them changed, and sometimes cut.
    package mutating func damage(_ bytes: [UInt8]) -> [UInt8] {
        var damaged = bytes
        for _ in 0...below(4) { damaged[below(damaged.count)] = UInt8(truncatingIfNeeded: next()) }
        if below(4) == 0 { damaged.removeLast(below(damaged.count)) }
        return damaged
    }
}
