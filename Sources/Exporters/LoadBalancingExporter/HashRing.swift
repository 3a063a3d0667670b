internal import OTLP

/// Says for every hash which backend has it, so that a backend that comes or goes moves only its own share.
///
/// Every backend owns the arcs of a circle that end at its points, `pointsEach` of them. The points depend on the
/// backend's name only: gateways with the same backends agree, in whatever order they know them.
struct HashRing: Sendable {
    /// Shares differ by about a sixteenth then.
    static let pointsEach = 256

    private let points: ContiguousArray<UInt64>
    private let owners: ContiguousArray<Int>
    /// For each value of a hash's first bits, the first point that is not below it.
    private let starts: ContiguousArray<Int>
    private let shift: UInt64

    /// - Parameter names: different from each other, at least one.
    init(_ names: [String]) {
        precondition(!names.isEmpty, "a ring has a backend")
        var all: [(point: UInt64, owner: Int)] = []
        all.reserveCapacity(names.count * Self.pointsEach)
        for (owner, name) in names.enumerated() {
            for index in 0..<Self.pointsEach {
                all.append((RoutingHash.of("\(name)|\(index)".utf8), owner))
            }
        }
        // Two points in one place, which hardly ever are: the names decide, not their order.
        all.sort { $0.point != $1.point ? $0.point < $1.point : names[$0.owner] < names[$1.owner] }
        points = ContiguousArray(all.map(\.point))
        owners = ContiguousArray(all.map(\.owner))
        let bits = UInt64(Int.bitWidth - (points.count * 2).leadingZeroBitCount)
        shift = 64 - bits
        var starts = ContiguousArray<Int>()
        starts.reserveCapacity(1 << Int(bits))
        var next = 0
        for value in 0..<(1 as UInt64) << bits {
            while next < points.count, points[next] < value << shift { next += 1 }
            starts.append(next)
        }
        self.starts = starts
    }

    /// The index of the backend, among the names, to which a hash belongs.
    /// - Complexity: a few nanoseconds, however many backends there are.
    func owner(of hash: UInt64) -> Int {
        var index = starts[Int(hash >> shift)]
        while index < points.count, points[index] < hash { index += 1 }
        return owners[index == points.count ? 0 : index]
    }
}
