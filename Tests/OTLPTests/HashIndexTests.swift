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

    /// Otherwise what is kept of many traces or series would be lost when an index divides.
    @Test func findsMany() {
        var index = HashIndex()
        for number in 0..<200_000 as Range<UInt64> { index.set(number, number &* 31, to: Int32(number)) }
        for number in stride(from: UInt64(0), to: 200_000, by: 3) { index.remove(number, number &* 31) }
        for number in stride(from: UInt64(1), to: 200_000, by: 3) {
            index.set(number, number &* 31, to: Int32(number) + 1)
        }
        #expect(index.count == 133_333)
        for number in 0..<200_000 as Range<UInt64> {
            let value = [-1, Int32(number) + 1, Int32(number)][Int(number % 3)]
            #expect(index.find(number, number &* 31) == value)
        }
        index.removeAll()
        #expect(index.count == 0 && index.find(1, 31) == -1)
        index.set(1, 31, to: 5)
        #expect(index.count == 1 && index.find(1, 31) == 5)
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
