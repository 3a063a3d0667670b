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

    private struct Metric: Sendable {
        let shell: [UInt8]
        let kind: UInt32
        let data: [UInt8]
        private var index = HashIndex()
        private(set) var points = BlockArray<Point>()

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

    private static let pointBytes = 2 * (MemoryLayout<StreamKey>.stride + MemoryLayout<Point>.stride) + 32

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
            added -= held.content.count
        } else {
            count += 1
            added += Self.pointBytes
        }
        resources[place.resource]?.scopes[place.scope]?.metrics[place.metric]?.set(
            stream, at: found, to: Point(time: time, content: content.array))
        charge(added + content.count)
    }

    /// Takes everything out, as a request.
    mutating func takeRequest(with editor: RequestEditor) -> [UInt8] {
        editor.open(.none)
        for resource in resources.values {
            let entry = Self.append(resource.shell, to: editor.root, Field.Request.resources, editor)
            for scope in resource.scopes.values {
                let scopeEntry = Self.append(scope.shell, to: entry, Field.ResourceEntry.scopes, editor)
                for metric in scope.metrics.values {
                    let item = Self.append(metric.shell, to: scopeEntry, Field.ScopeEntry.entries, editor)
                    let data = Self.append(metric.data, to: item, metric.kind, editor)
                    for place in 0..<metric.points.count {
                        Self.withBytes(metric.points[place].content) {
                            editor.append(data, Field.MetricData.dataPoints, $0)
                        }
                    }
                    editor.close(data)
                    editor.close(item)
                }
                editor.close(scopeEntry)
            }
            editor.close(entry)
        }
        resources = [:]
        count = 0
        charge(-chargedBytes)
        let bytes = editor.writtenCount
        return unsafe [UInt8](unsafeUninitializedCapacity: bytes) { buffer, filled in
            // SAFETY: the buffer has room for `bytes` bytes, all of which are written.
            unsafe editor.write(into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: bytes))
            filled = bytes
        }
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

    private mutating func charge(_ bytes: Int) {
        chargedBytes += bytes
        ledger.charge(bytes)
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
