/// What decides where an item goes.
package enum RoutingKey: Sendable {
    /// The trace id of a span or log record; of one without, the bytes of its resource. Not for metrics.
    case traceID
    /// `service.name` of the resource; nothing, where it has none.
    case service
    /// The attributes of the resource, in any order.
    case resource
    /// The name of the metric. For metrics only.
    case metric
    /// The resource's attributes and the metric's name: every series of a process stays together. For metrics only.
    case stream

    /// Whether all items of a resource go the same way.
    package var keepsResources: Bool { self == .service || self == .resource }
}

// What decides where items go, as a hash.

extension RequestRouter {
    /// The trace id of an item; nil for one that has none that is valid: 16 bytes, not all zero.
    func traceID(_ item: WireBytes) -> (low: UInt64, high: UInt64)? {
        for field in item.fields where field.number == traceIDField {
            let id = field.bytes
            guard id.count == 16 else { return nil }
            // SAFETY: there are sixteen bytes.
            let low = unsafe UInt64(littleEndian: id.unsafeBytes.loadUnaligned(as: UInt64.self))
            let high = unsafe UInt64(
                littleEndian: id.unsafeBytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            return low | high == 0 ? nil : (low, high)
        }
        return nil
    }

    /// - Parameter resourceHash: of the resource, once it has been asked for.
    func metricHash(
        _ metric: WireBytes, _ resourceEntry: WireField, _ resourceHash: inout Int?
    ) -> UInt64 {
        var name = RoutingHash.of([])
        for field in metric.fields where field.number == Field.Metric.name && field.isBytes {
            name = RoutingHash.of(field.bytes)
        }
        guard key == .stream else { return name }
        let resource = resourceHash ?? Int(bitPattern: UInt(Self.attributesHash(resourceEntry.bytes)))
        resourceHash = resource
        return RoutingHash.of(name, UInt64(UInt(bitPattern: resource)))
    }

    /// Of all attributes in any order.
    static func attributesHash(_ entry: WireBytes) -> UInt64 {
        var sum: UInt64 = 0
        for field in entry.fields where field.number == Field.ResourceEntry.resource && field.isBytes {
            for attribute in field.bytes.fields
            where attribute.number == Field.Resource.attributes && attribute.isBytes {
                sum &+= RoutingHash.of(attribute.bytes)
            }
        }
        return RoutingHash.of(sum, 0)
    }

    static func resourceHash(_ entry: WireBytes) -> UInt64 {
        for field in entry.fields where field.number == Field.ResourceEntry.resource && field.isBytes {
            return RoutingHash.of(field.bytes)
        }
        return RoutingHash.of([])
    }

    static func serviceHash(_ entry: WireBytes) -> UInt64 {
        for field in entry.fields where field.number == Field.ResourceEntry.resource && field.isBytes {
            for attribute in field.bytes.fields where attribute.number == Field.Resource.attributes {
                var isName = false
                var text: WireBytes?
                for part in attribute.bytes.fields {
                    if part.number == Field.KeyValue.key { isName = part.bytes == "service.name" }
                    if part.number == Field.KeyValue.value {
                        for value in part.bytes.fields where value.number == Field.AnyValue.string {
                            text = value.bytes
                        }
                    }
                }
                if isName, let text { return RoutingHash.of(text) }
            }
        }
        return RoutingHash.of([])
    }
}
