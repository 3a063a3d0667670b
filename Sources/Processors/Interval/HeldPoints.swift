internal import MetricStreams
internal import OTLP
internal import Pipeline

/// The newest point of each stream, with all that stands around it in a request. Charged to the ledger. Not thread-safe: its
/// owner holds a lock.
struct HeldPoints: ~Copyable {
    /// A point as it came.
    struct Point: Sendable {
        var time: UInt64
        var content: [UInt8]
    }

    /// The messages around a point without what is in them, and where they are: keys of the streams of a scope.
    struct Place {
        let resource: StreamKey
        let scope: StreamKey
        let metric: StreamKey
        let kind: UInt32
    }

    /// What a message has beside what is held of it.
    struct Shells {
        var resource: () -> [UInt8]
        var scope: () -> [UInt8]
        var metric: () -> [UInt8]
        var data: () -> [UInt8]
    }

    fileprivate struct Metric: Sendable {
        let shell: [UInt8]
        let kind: UInt32
        let data: [UInt8]
        private var index = HashIndex()
        /// Nil once it was taken out.
        fileprivate(set) var points = BlockArray<Point?>()

        init(shell: [UInt8], kind: UInt32, data: [UInt8]) {
            self.shell = shell
            self.kind = kind
            self.data = data
        }

        /// The place of a stream's point; nil: it has none.
        func find(_ stream: StreamKey) -> Int? {
            let place = index.find(stream.low, stream.high)
            return place < 0 ? nil : Int(place)
        }

        mutating func set(_ stream: StreamKey, at place: Int?, to point: Point) {
            if let place {
                points[place] = point
                return
            }
            index.set(stream.low, stream.high, to: Int32(points.count))
            points.append(point)
        }
    }

    private struct Scope: Sendable {
        let shell: [UInt8]
        var metrics: [StreamKey: Metric] = [:]
    }

    private struct Resource: Sendable {
        let shell: [UInt8]
        var scopes: [StreamKey: Scope] = [:]
    }

    fileprivate static let pointBytes = 2 * (MemoryLayout<StreamKey>.stride + MemoryLayout<Point>.stride) + 32

    /// What a point's content takes, with the request that is made of it: freed memory is not always used again by the thread that
    /// makes requests. Of 150 MB held, 190 MiB resident became 350 while they were sent.
    fileprivate static func contentBytes(_ count: Int) -> Int { 2 * count }

    private var resources: [StreamKey: Resource] = [:]
    private(set) var count = 0
    private let ledger: MemoryLedger
    private var chargedBytes = 0

    init(ledger: MemoryLedger) {
        self.ledger = ledger
    }

    deinit {
        ledger.release(chargedBytes)
    }

    /// Whether a stream has a point here.
    func holds(_ stream: StreamKey, at place: Place) -> Bool {
        resources[place.resource]?.scopes[place.scope]?.metrics[place.metric]?.find(stream) != nil
    }

    /// Keeps a point, unless a newer one of its stream is there.
    mutating func keep(
        _ content: WireBytes, _ stream: StreamKey, time: UInt64, at place: Place, shells: Shells
    ) {
        var added = 0
        func counted(_ bytes: [UInt8]) -> [UInt8] {
            added += bytes.count + 64
            return bytes
        }
        if resources[place.resource] == nil {
            resources[place.resource] = Resource(shell: counted(shells.resource()))
        }
        if resources[place.resource]?.scopes[place.scope] == nil {
            resources[place.resource]?.scopes[place.scope] = Scope(shell: counted(shells.scope()))
        }
        if resources[place.resource]?.scopes[place.scope]?.metrics[place.metric] == nil {
            resources[place.resource]?.scopes[place.scope]?.metrics[place.metric] = Metric(
                shell: counted(shells.metric()), kind: place.kind, data: counted(shells.data()))
        }
        let found = resources[place.resource]?.scopes[place.scope]?.metrics[place.metric]?.find(stream)
        if let found,
            let held = resources[place.resource]?.scopes[place.scope]?.metrics[place.metric]?.points[found]
        {
            // Of two with one time the one that came later counts.
            guard time >= held.time else { return charge(added) }
            added -= Self.contentBytes(held.content.count)
        } else {
            count += 1
            added += Self.pointBytes
        }
        resources[place.resource]?.scopes[place.scope]?.metrics[place.metric]?.set(
            stream, at: found, to: Point(time: time, content: content.array))
        charge(added + Self.contentBytes(content.count))
    }

    /// Takes everything out.
    mutating func takeAll() -> LeavingPoints {
        var metrics: [LeavingPoints.Metric] = []
        for resource in resources.values {
            for scope in resource.scopes.values {
                for metric in scope.metrics.values {
                    metrics.append(.init(resource: resource.shell, scope: scope.shell, metric: metric))
                }
            }
        }
        defer { (resources, count, chargedBytes) = ([:], 0, 0) }
        return LeavingPoints(metrics, count: count, chargedBytes: chargedBytes, ledger)
    }

    private mutating func charge(_ bytes: Int) {
        chargedBytes += bytes
        ledger.charge(bytes)
    }
}

/// Points that were held and are sent on, some thousand at a time. Not thread-safe.
final class LeavingPoints: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): handed from the one that took the points out to the event loop that sends them.
    fileprivate struct Metric {
        let resource: [UInt8]
        let scope: [UInt8]
        var metric: HeldPoints.Metric
    }

    /// A request has no more points, and, but for its last one, no more bytes.
    static let (requestPoints, requestBytes) = (1000, 1 << 20)

    private var metrics: [Metric]
    private var (nextMetric, nextPoint) = (0, 0)
    /// Points that are left.
    private(set) var count: Int
    private var chargedBytes: Int
    private let ledger: MemoryLedger

    fileprivate init(_ metrics: [Metric], count: Int, chargedBytes: Int, _ ledger: MemoryLedger) {
        self.metrics = metrics
        self.count = count
        self.chargedBytes = chargedBytes
        self.ledger = ledger
    }

    deinit { ledger.release(chargedBytes) }

    /// Takes points out, as a request.
    /// - Returns: nil when all were taken out.
    func takeRequest(with editor: RequestEditor) -> (bytes: [UInt8], points: Int)? {
        guard count > 0 else { return nil }
        editor.open(.none)
        var (points, size) = (0, 0)
        while nextMetric < metrics.count, points < Self.requestPoints, size < Self.requestBytes {
            let (resource, scope) = (metrics[nextMetric].resource, metrics[nextMetric].scope)
            let (shell, inner) = (metrics[nextMetric].metric.shell, metrics[nextMetric].metric.data)
            size += resource.count + scope.count + shell.count + inner.count
            let entry = Self.append(resource, to: editor.root, Field.Request.resources, editor)
            let scopeEntry = Self.append(scope, to: entry, Field.ResourceEntry.scopes, editor)
            let item = Self.append(shell, to: scopeEntry, Field.ScopeEntry.entries, editor)
            let data = Self.append(inner, to: item, metrics[nextMetric].metric.kind, editor)
            repeat {
                let taken = metrics[nextMetric].metric.points[nextPoint].take()
                nextPoint += 1
                guard let point = taken else { continue }
                Self.withBytes(point.content) { editor.append(data, Field.MetricData.dataPoints, $0) }
                points += 1
                size += point.content.count
                release(HeldPoints.pointBytes + HeldPoints.contentBytes(point.content.count))
            } while nextPoint < metrics[nextMetric].metric.points.count && points < Self.requestPoints
                && size < Self.requestBytes
            for message in [data, item, scopeEntry, entry] { editor.close(message) }
            if nextPoint == metrics[nextMetric].metric.points.count {
                (nextMetric, nextPoint) = (nextMetric + 1, 0)
            }
        }
        count -= points
        let bytes = editor.writtenCount
        let request = unsafe [UInt8](unsafeUninitializedCapacity: bytes) { buffer, filled in
            // SAFETY: the buffer has room for `bytes` bytes, all of which are written.
            unsafe editor.write(into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: bytes))
            filled = bytes
        }
        return (request, points)
    }

    private func release(_ bytes: Int) {
        chargedBytes -= bytes
        ledger.release(bytes)
    }

    private static func append(
        _ shell: [UInt8], to message: MessageID, _ number: UInt32, _ editor: RequestEditor
    ) -> MessageID {
        withBytes(shell) { editor.append(message, number, $0) }
        return editor.child(message, at: editor.fieldCount(message) - 1)
    }

    private static func withBytes(_ bytes: [UInt8], _ body: (WireBytes) -> Void) {
        unsafe bytes.withUnsafeBytes { buffer in
            // SAFETY: borrowed for the call.
            unsafe body(WireBytes(buffer))
        }
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
