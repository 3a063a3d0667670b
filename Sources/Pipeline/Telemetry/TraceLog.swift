import Synchronization

/// The last spans about the gateway itself, by name and by how long they took, for a page. Any thread; bounded.
package final class TraceLog: Sendable {
    /// Where a bucket begins, as the Collector's page has them: 0, 10 µs, 100 µs, 1 ms, 10 ms, 100 ms, 1 s, 10 s, 100 s.
    package static let bucketNanoseconds: [Int64] =
        [0] + (4...11).map { exponent in (0..<exponent).reduce(1) { power, _ in power * 10 } }
    private static let spansMax = 10
    private static let namesMax = 256

    /// The spans of one name in one bucket, or those that failed.
    package struct Bucket: Sendable {
        package fileprivate(set) var count = 0
        /// The last ones, oldest first.
        package fileprivate(set) var spans: [OwnSpan] = []

        fileprivate mutating func add(_ span: OwnSpan) {
            count += 1
            if spans.count == TraceLog.spansMax { spans.removeFirst() }
            spans.append(span)
        }
    }

    /// The spans of one name.
    package struct Entry: Sendable {
        package fileprivate(set) var buckets = [Bucket](
            repeating: Bucket(), count: TraceLog.bucketNanoseconds.count)
        package fileprivate(set) var errors = Bucket()
    }

    private let entries = Mutex<[String: Entry]>([:])

    package init() {}

    /// Keeps a span.
    package func add(_ span: OwnSpan) {
        entries.withLock { entries in
            guard entries[span.name] != nil || entries.count < Self.namesMax else { return }
            if span.error != nil { return entries[span.name, default: Entry()].errors.add(span) }
            let time = span.endNanoseconds - span.startNanoseconds
            let bucket = Self.bucketNanoseconds.lastIndex { time >= $0 } ?? 0
            entries[span.name, default: Entry()].buckets[bucket].add(span)
        }
    }

    /// What is kept, by name.
    package var names: [(name: String, entry: Entry)] {
        entries.withLock { $0.map { (name: $0.key, entry: $0.value) } }.sorted { $0.name < $1.name }
    }
}
