import OTLP
import Testing

struct HashIndexTests {
    /// Otherwise traces or series would be mixed up or lost once a few thousand came and went.
    @Test func findsWhatADictionaryFinds() {
        struct Key: Hashable {
            let low: UInt64
            let high: UInt64
        }
        var index = HashIndex()
        var model: [Key: Int32] = [:]
        var random = SystemRandomNumberGenerator()
        for round in 0..<200_000 {
            // Now and then all are forgotten, among few and among many.
            if round < 100_000, random.next() % (round < 50_000 ? 50 : 2_000) == 0 {
                index.removeAll()
                model = [:]
            }
            // Few keys, so that they come again; among them zeros and neighbours.
            let key = Key(low: random.next() % 70, high: random.next() % 70)
            if random.next() % 3 == 0 {
                index.remove(key.low, key.high)
                model[key] = nil
            } else {
                index.set(key.low, key.high, to: Int32(round))
                model[key] = Int32(round)
            }
            let other = Key(low: random.next() % 70, high: random.next() % 70)
            #expect(index.find(other.low, other.high) == model[other] ?? -1)
        }
        #expect(index.count == model.count)
        for (key, value) in model { #expect(index.find(key.low, key.high) == value) }
    }

    /// Otherwise somebody who numbers trace ids in steps, or whose ids differ in one half only, would slow everybody down.
    @Test func spreadsIdsThatDifferLittle() {
        for (lowStep, highStep) in [(0, 1), (1, 0), (1 << 40, 0), (0, 1 << 56)] as [(UInt64, UInt64)] {
            var index = HashIndex()
            for number in 0..<200 as Range<UInt64> {
                index.set(number &* lowStep, number &* highStep, to: Int32(number))
            }
            for number in 0..<200 as Range<UInt64> {
                #expect(index.find(number &* lowStep, number &* highStep) == Int32(number))
            }
        }
    }
}
