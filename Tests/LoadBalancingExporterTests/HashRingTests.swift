import OTLP
import TestSupport
import Testing

@testable import LoadBalancingExporter

/// Without these one backend gets most of the load, gateways of one fleet disagree about a trace, or a backend more
/// moves the traces of all.
@Suite("Ring of backends")
struct HashRingTests {
    private func names(_ count: Int) -> [String] { (0..<count).map { "10.0.3.\($0):4317" } }

    /// The name that has each of many hashes.
    private func owners(_ names: [String], _ hashes: Int = 20_000) -> [String] {
        let ring = HashRing(names)
        var random = SeededRandom(seed: 7)
        return (0..<hashes).map { _ in names[ring.owner(of: random.next())] }
    }

    @Test("every backend has its share, within a quarter", arguments: [1, 2, 3, 10, 64])
    func distribution(count: Int) {
        var shares: [String: Int] = [:]
        for name in owners(names(count), 100_000) { shares[name, default: 0] += 1 }
        let fair = 100_000 / count
        #expect(shares.count == count)
        for (name, share) in shares {
            #expect(share > fair * 3 / 4 && share < fair * 5 / 4, "\(name): \(share) of \(fair)")
        }
    }

    @Test(
        "a backend that comes takes its share and moves nothing else; one that goes gives back only its own")
    func movement() {
        let before = owners(names(5))
        let after = owners(names(6))
        var moved = 0
        for (old, new) in zip(before, after) where old != new {
            moved += 1
            #expect(new == "10.0.3.5:4317")
        }
        #expect(moved > 20_000 / 6 * 3 / 4 && moved < 20_000 / 6 * 5 / 4)
        let fewer = owners(names(5).filter { $0 != "10.0.3.2:4317" })
        for (old, new) in zip(before, fewer) { #expect(old == new || old == "10.0.3.2:4317") }
    }

    @Test("the order in which backends are known does not matter")
    func order() {
        #expect(owners(names(7)) == owners(names(7).reversed()))
    }

    @Test("it is the first point at or after the hash, around the circle")
    func lookUp() {
        for count in [1, 3, 17] {
            let names = names(count)
            let ring = HashRing(names)
            let points = names.indices.flatMap { owner in
                (0..<HashRing.pointsEach).map { (RoutingHash.of("\(names[owner])|\($0)".utf8), owner) }
            }.sorted { $0.0 < $1.0 }
            var random = SeededRandom(seed: UInt64(count))
            let probes = (0..<500).map { _ in random.next() } + points.map(\.0) + points.map { $0.0 &+ 1 }
            for hash in probes + [0, 1, .max] {
                let expected = points.first { $0.0 >= hash }?.1 ?? points[0].1
                #expect(ring.owner(of: hash) == expected)
            }
        }
    }

    /// Another version that hashed otherwise would tear traces apart while a fleet is updated.
    @Test("hashes never change")
    func golden() {
        #expect(RoutingHash.of([]) == 8_848_935_107_335_307_795)
        #expect(RoutingHash.of(0..<16) == 11_874_604_464_236_395_942)
        #expect(RoutingHash.of("checkout".utf8) == 12_313_349_622_826_328_139)
        #expect(RoutingHash.of("10.0.3.17:4317|3".utf8) == 7_621_695_664_981_343_223)
    }
}
