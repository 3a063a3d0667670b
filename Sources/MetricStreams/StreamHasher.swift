package import OTLP

/// What stands for a stream: 128 bits of a hash under a secret, so that nobody outside can make two streams of one key.
package struct StreamKey: Hashable, Sendable {
    package let low: UInt64
    package let high: UInt64

    package init(_ hash: WireHash) {
        low = hash.low
        high = hash.high
    }

    /// The key has been hashed already.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(low)
    }
}

/// Makes the keys of streams. The order of attributes does not matter; all else does. Any thread.
package struct StreamHasher: Sendable {
    private let hasher = WireHasher()

    package init() {}

    /// Where every stream begins.
    package static let start = WireHash(low: 0x5354, high: 0x5245)

    /// Goes on with a text or any other bytes.
    package func add(_ bytes: WireBytes, to hash: WireHash) -> WireHash {
        hasher.hash(bytes, from: hasher.hash(UInt64(bytes.count), from: hash))
    }

    /// Goes on with a number.
    package func add(_ number: UInt64, to hash: WireHash) -> WireHash {
        hasher.hash(number, from: hash)
    }

    /// Goes on with attributes, in whatever order they are.
    package func add(
        _ table: AttributeTable, of editor: RequestEditor, to hash: WireHash,
        where isWanted: (WireBytes) -> Bool = { _ in true }
    ) -> WireHash {
        var sum = WireHash(low: 0, high: 0)
        for position in 0..<editor.fieldCount(table.message)
        where editor.number(table.message, at: position) == table.number {
            let attribute = editor.content(table.message, at: position)
            guard isWanted(editor.key(table, at: position)) else { continue }
            let one = hasher.hash(attribute, from: Self.start)
            // Sums do not depend on the order; each term is under the secret.
            let (low, carry) = sum.low.addingReportingOverflow(one.low)
            sum = WireHash(low: low, high: sum.high &+ one.high &+ (carry ? 1 : 0))
        }
        return hasher.hash(sum.high, from: hasher.hash(sum.low, from: hash))
    }

    /// Where the streams of a resource begin: its attributes.
    package func resource(_ place: ResourcePlace, of editor: RequestEditor) -> WireHash {
        add(editor.attributes(place.resource, Field.Resource.attributes), of: editor, to: Self.start)
    }

    /// Where the streams of a scope begin: those of its resource, and its name, version and attributes.
    package func scope(_ place: ScopePlace, of editor: RequestEditor, from resource: WireHash) -> WireHash {
        var hash = add(editor.content(place.scope, Field.Scope.name), to: resource)
        hash = add(editor.content(place.scope, Field.Scope.version), to: hash)
        return add(editor.attributes(place.scope, Field.Scope.attributes), of: editor, to: hash)
    }

    /// Where the streams of a metric begin: its kind, name and unit, and, of a sum, whether it is monotonic.
    package func metric(
        _ metric: MessageID, _ data: MessageID, kind: UInt32, of editor: RequestEditor, from scope: WireHash
    ) -> WireHash {
        var hash = add(UInt64(kind), to: scope)
        hash = add(editor.content(metric, Field.Metric.name), to: hash)
        hash = add(editor.content(metric, Field.Metric.unit), to: hash)
        guard kind == Field.Metric.sum else { return hash }
        return add(editor.bits(data, Field.MetricData.isMonotonic), to: hash)
    }
}
