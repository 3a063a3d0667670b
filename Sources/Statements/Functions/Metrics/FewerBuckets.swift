/// Joins neighbouring buckets of a histogram: again and again the two that have the fewest values together, the first of
/// such. Takes n log n steps for n buckets, since a client says how many there are.
struct FewerBuckets {
    private struct Pair {
        let sum: UInt64
        /// The left one of the two. What it is joined with is the one after it.
        let bucket: Int

        func isBefore(_ other: Pair) -> Bool { (sum, bucket) < (other.sum, other.bucket) }
    }

    private var counts: [UInt64]
    /// Neighbours by bucket; a bucket keeps its number until it is joined with the next, which then stands for both.
    private var next: [Int]
    private var previous: [Int]
    private var isJoined: [Bool]
    /// The smallest pair first, as in a binary heap; also pairs that are no more.
    private var heap: [Pair] = []

    /// - Parameters:
    ///   - bounds: one fewer than there are counts.
    ///   - limit: at least 1.
    static func merge(_ bounds: inout [UInt64], _ counts: inout [UInt64], to limit: Int) {
        guard counts.count > limit, limit >= 1 else { return }
        var buckets = FewerBuckets(counts)
        for _ in limit..<counts.count { buckets.joinSmallest() }
        let left = counts.indices.filter { !buckets.isJoined[$0] }
        counts = left.map { buckets.counts[$0] }
        bounds = left.dropLast().map { bounds[$0] }
    }

    private init(_ counts: [UInt64]) {
        self.counts = counts
        next = counts.indices.map { $0 + 1 }
        previous = counts.indices.map { $0 - 1 }
        isJoined = counts.map { _ in false }
        heap.reserveCapacity(3 * counts.count)
        for bucket in counts.indices { push(bucket) }
    }

    private func sum(_ bucket: Int) -> UInt64 { counts[bucket] &+ counts[next[bucket]] }

    private mutating func joinSmallest() {
        while let pair = pop() {
            let bucket = pair.bucket
            guard !isJoined[bucket], next[bucket] < counts.count, sum(bucket) == pair.sum else { continue }
            let after = next[bucket]
            counts[after] &+= counts[bucket]
            isJoined[bucket] = true
            previous[after] = previous[bucket]
            if previous[bucket] >= 0 {
                next[previous[bucket]] = after
                push(previous[bucket])
            }
            return push(after)
        }
    }

    // MARK: - Heap

    private mutating func push(_ bucket: Int) {
        guard next[bucket] < counts.count else { return }
        var place = heap.count
        let pair = Pair(sum: sum(bucket), bucket: bucket)
        heap.append(pair)
        while place > 0, pair.isBefore(heap[(place - 1) / 2]) {
            heap[place] = heap[(place - 1) / 2]
            place = (place - 1) / 2
        }
        heap[place] = pair
    }

    private mutating func pop() -> Pair? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        var place = 0
        while true {
            var child = 2 * place + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(last) else { break }
            heap[place] = heap[child]
            place = child
        }
        heap[place] = last
        return first
    }
}
