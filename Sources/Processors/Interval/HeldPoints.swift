internal import MetricStreams
internal import OTLP
internal import Pipeline

/// The newest point of each stream, in all that stands around it. Charged to the ledger. Not thread-safe: its owner holds a lock.
struct HeldPoints: ~Copyable {
    /// What the messages around a point are known by.
    struct Place {
        let resource: WireHash
        let scope: WireHash
        let metric: WireHash
        /// The message of the points, and its field in the metric.
        let data: WireHash
        let kind: UInt32
    }

    /// The messages around a point.
    enum Level { case resource, scope, metric, data }

    /// Each point's mark is its time.
    private var tree = RequestTree()
    private let ledger: MemoryLedger

    init(ledger: MemoryLedger) {
        self.ledger = ledger
    }

    deinit {
        ledger.release(tree.bytes)
    }

    /// Streams that have a point here.
    var count: Int { tree.count }

    /// Keeps a point, unless a newer one of its stream is there.
    /// - Parameter shell: gives what a message has beside what is held of it.
    /// - Returns: false, and nothing done, when the stream is new and may not be.
    mutating func keep(
        _ content: WireBytes, _ stream: WireHash, time: UInt64, at place: Place, mayAdd: Bool,
        shell: (Level) -> [UInt8]
    ) -> Bool {
        let before = tree.bytes
        if let held = tree.find(stream) {
            // Of two with one time the one that came later counts.
            if time >= tree.mark(of: held) { tree.replace(held, content.array, mark: time) }
        } else {
            guard mayAdd else { return false }
            let resource = tree.message(
                place.resource, Field.Request.resources, in: RequestTree.root, shell(.resource))
            let scope = tree.message(place.scope, Field.ResourceEntry.scopes, in: resource, shell(.scope))
            let metric = tree.message(place.metric, Field.ScopeEntry.entries, in: scope, shell(.metric))
            let data = tree.message(place.data, place.kind, in: metric, shell(.data))
            tree.addItem(stream, Field.MetricData.dataPoints, in: data, content.array, mark: time)
        }
        ledger.charge(tree.bytes - before)
        return true
    }

    /// Takes everything out.
    mutating func takeAll() -> LeavingPoints {
        defer { tree = RequestTree() }
        return LeavingPoints(tree, ledger)
    }
}

/// Points that were held and are sent on, some thousand at a time. Not thread-safe.
final class LeavingPoints: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): handed from the one that took the points out to the event loop that sends them.
    private var tree: RequestTree
    private let ledger: MemoryLedger

    fileprivate init(_ tree: RequestTree, _ ledger: MemoryLedger) {
        self.tree = tree
        self.ledger = ledger
    }

    deinit { ledger.release(tree.bytes) }

    /// Points that are left.
    var count: Int { tree.count }

    /// Takes points out, as a request.
    /// - Returns: nil when all were taken out.
    func takeRequest() -> (bytes: [UInt8], items: Int)? {
        let before = tree.bytes
        defer { ledger.release(before - tree.bytes) }
        return tree.takeRequest { content, _ in content }
    }
}

extension WireBytes {
    /// The fields of a message but for those of one number, as they are written.
    func fields(without number: UInt32) -> [UInt8] {
        var result: [UInt8] = []
        for field in fields where field.number != number {
            // SAFETY: fields lie inside the message.
            unsafe result.append(contentsOf: unsafeBytes[field.start..<field.end])
        }
        return result
    }
}
