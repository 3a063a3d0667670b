internal import OTLP
internal import Pipeline

/// What grouping would copy, counted before anything is: a resource, its scopes and the envelopes of its metrics stand in each
/// group of their items.
struct GroupCopies {
    /// No smaller copies are ever too large; nor are those of twice the request.
    private static let bytesMin = 64 << 20

    private let request: RequestEditor
    private let keys: [OwnedBytes]
    private var bytes = 0
    private var groups = 0

    /// - Throws: the copies would be much more than the request, or there is no memory for them.
    static func check(_ request: RequestEditor, _ signal: Signal, _ keys: [OwnedBytes]) throws(Refusal) {
        let most = max(bytesMin, 2 * request.openedBytes)
        // Nearly always there are too few items for that much.
        guard mayExceed(most, request, signal) else { return }
        var copies = GroupCopies(request, keys)
        copies.count(signal)
        guard copies.bytes <= most else {
            throw Refusal(
                .tooLarge,
                "groupbyattrs would copy \(copies.bytes) bytes of resources and scopes for \(copies.groups) groups of this request, more than \(most) (64 MiB, or twice the request); send fewer items at a time, or group by keys with fewer values",
                isPermanent: true)
        }
        // What is kept, what is written of it, and what they are known by.
        _ = request.mayHold(3 * copies.bytes)
    }

    private init(_ request: RequestEditor, _ keys: [OwnedBytes]) {
        (self.request, self.keys) = (request, keys)
    }

    private static func mayExceed(_ most: Int, _ request: RequestEditor, _ signal: Signal) -> Bool {
        // A point, and an attribute by which it is told from others.
        if signal == .metrics { return request.openedBytes / 12 * request.openedBytes > most }
        var bytes = 0
        request.forEachScope { scope in
            let copied = request.content(scope.resource.resource).count + request.content(scope.scope).count
            bytes += copied * request.count(scope.entry, Field.ScopeEntry.entries)
            return .keep
        }
        return bytes > most
    }

    private mutating func count(_ signal: Signal) {
        request.forEachResource { resource in
            let resourceBytes = request.content(resource.resource).count
            var ofResource: Set<[UInt8]> = []
            request.forEachScope(of: resource) { scope in
                let scopeBytes = request.content(scope.scope).count
                var ofScope: Set<[UInt8]> = []
                func add(_ table: AttributeTable) -> [UInt8] {
                    let group = group(table)
                    if ofResource.insert(group).inserted {
                        bytes += resourceBytes
                        groups += 1
                    }
                    if ofScope.insert(group).inserted { bytes += scopeBytes }
                    return group
                }
                request.forEachItem(of: scope) { place in
                    guard signal == .metrics else {
                        let number = signal == .traces ? Field.Span.attributes : Field.LogRecord.attributes
                        _ = add(request.attributes(place.item, number))
                        return .keep
                    }
                    // The metric without its points.
                    var envelopeBytes = request.content(place.item).count
                    var ofMetric: Set<[UInt8]> = []
                    request.forEachPoint(place.item) { point in
                        envelopeBytes -= request.content(point.point).count
                        ofMetric.insert(add(point.attributes))
                        return .keep
                    }
                    bytes += envelopeBytes * ofMetric.count
                    return .keep
                }
                return .keep
            }
            return .keep
        }
    }

    /// What tells the group of attributes from others.
    private func group(_ table: AttributeTable) -> [UInt8] {
        var identity = AttributeIdentity()
        for key in keys {
            guard let position = request.find(key.bytes, in: table) else { continue }
            let attribute = Attribute(request.content(table.message, at: position))
            identity.add(attribute.key)
            identity.add(attribute.value)
        }
        return identity.bytes
    }
}
