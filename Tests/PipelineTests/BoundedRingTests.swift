import Glibc
import Pipeline
import Synchronization
import TestSupport
import Testing

/// Something that is alive until its last reference goes.
private final class Token: Sendable {
    static let seal: UInt64 = 0x9E37_79B9_7F4A_7C15
    let producer: Int
    let number: Int
    let checksum: UInt64
    private let living: Noted<Int>?

    init(producer: Int, number: Int, living: Noted<Int>? = nil) {
        self.producer = producer
        self.number = number
        self.living = living
        checksum = (UInt64(producer) << 40 | UInt64(number)) &* Self.seal
        living?.change { $0 += 1 }
    }

    deinit { living?.change { $0 -= 1 } }

    var isIntact: Bool { checksum == (UInt64(producer) << 40 | UInt64(number)) &* Self.seal }
}

@Suite("BoundedRing")
struct BoundedRingTests {
    @Test(
        "memory is bounded: a ring holds its capacity and says so when it is full",
        arguments: [1, 2, 3, 4, 5, 1000])
    func capacity(asked: Int) {
        let ring = BoundedRing<Int>(capacity: asked)
        #expect(ring.capacity >= max(2, asked) && ring.capacity < max(3, 2 * asked))
        for number in 0..<ring.capacity { #expect(ring.push(number)) }
        #expect(!ring.push(-1) && !ring.push(-2))
        for number in 0..<ring.capacity { #expect(ring.pop() == number) }
        #expect(ring.pop() == nil && ring.isEmpty)
    }

    @Test("nothing is lost or doubled when positions wrap around, at any filling")
    func wrapAround() {
        let ring = BoundedRing<Int>(capacity: 4)
        var random = SeededRandom(seed: 11)
        var pushed = 0
        var popped = 0
        for _ in 0..<20_000 {
            if random.below(2) == 0 {
                let taken = ring.push(pushed)
                #expect(taken == (pushed - popped < 4))
                if taken { pushed += 1 }
            } else {
                let element = ring.pop()
                #expect(element == (popped < pushed ? popped : nil))
                if element != nil { popped += 1 }
            }
            #expect(ring.isEmpty == (pushed == popped))
        }
        #expect(popped > 5000)
    }

    @Test("memory comes back: elements die when they were taken, refused, or when the ring goes")
    func lifetimes() {
        let living = Noted(0)
        do {
            let ring = BoundedRing<Token>(capacity: 4)
            for number in 0..<6 { _ = ring.push(Token(producer: 0, number: number, living: living)) }
            #expect(living.value == 4)
            _ = ring.pop()
            #expect(living.value == 3)
            #expect(ring.push(Token(producer: 0, number: 9, living: living)))
            _ = ring.pop()
            #expect(living.value == 3)
        }
        #expect(living.value == 0)
    }

    @Test(
        "requests from several loops arrive whole, once each, in each loop's order",
        arguments: [(2, 4, 1), (3, 64, 2), (4, 2, 3), (4, 1024, 4)] as [(Int, Int, UInt64)])
    func stress(producers: Int, capacity: Int, seed: UInt64) async throws {
        let each = 30_000
        let ring = BoundedRing<Token>(capacity: capacity)
        let living = Noted(0)
        let mistakes = Noted<[String]>([])
        let consumer: @Sendable () -> Void = {
            var next = Array(repeating: 0, count: producers)
            var missing = producers * each
            while missing > 0 {
                guard let token = ring.pop() else {
                    sched_yield()
                    continue
                }
                if !token.isIntact || token.number != next[token.producer] {
                    mistakes.change {
                        $0.append("\(token.producer): \(token.number), not \(next[token.producer])")
                    }
                }
                next[token.producer] = token.number + 1
                missing -= 1
            }
        }
        let bodies = (0..<producers).map { producer -> @Sendable () -> Void in
            {
                var random = SeededRandom(seed: seed &* 100 + UInt64(producer))
                for number in 0..<each {
                    let token = Token(
                        producer: producer, number: number, living: number % 16 == 0 ? living : nil)
                    while !ring.push(token) { sched_yield() }
                    if random.below(64) == 0 { sched_yield() }
                }
            }
        }
        try await inParallel(bodies + [consumer])
        #expect(mistakes.value.prefix(5).isEmpty, "seed \(seed)")
        #expect(ring.isEmpty && living.value == 0, "seed \(seed)")
    }
}
