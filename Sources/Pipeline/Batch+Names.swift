internal import NIOCore
internal import OTLP

// Names for messages about an item that cannot be sent.

extension Batch {
    /// What the first item is called.
    var firstItemName: String {
        first { entry in
            for scope in entry.fields where scope.number == Field.ResourceEntry.scopes && scope.isBytes {
                for item in scope.bytes.fields where item.number == Field.ScopeEntry.entries && item.isBytes {
                    return nameOfItem(item.bytes)
                }
            }
            return nil
        } ?? "none"
    }

    /// `service.name` of the first resource.
    var firstServiceName: String {
        first { entry in
            for resource in entry.fields where resource.number == Field.ResourceEntry.resource {
                for field in resource.bytes.fields where field.number == Field.Resource.attributes {
                    let attribute = Attribute(field.bytes)
                    guard attribute.key.text == "service.name", case .string(let name) = attribute.value
                    else { continue }
                    return String(name.text.prefix(128))
                }
            }
            return nil
        } ?? "unknown_service"
    }

    /// What is found in the first resource entry in which something is.
    private func first(_ find: (WireBytes) -> String?) -> String? {
        for slice in slices {
            let found = unsafe slice.bytes.withUnsafeReadableBytes { bytes -> String? in
                for entry in unsafe WireBytes(bytes).fields
                where entry.number == Field.Request.resources && entry.isBytes {
                    if let found = find(entry.bytes) { return found }
                }
                return nil
            }
            if let found { return found }
        }
        return nil
    }

    private func nameOfItem(_ item: WireBytes) -> String {
        let number: UInt32
        switch signal {
        case .traces: number = Field.Span.name
        case .metrics: number = 1
        case .logs: number = 3  // The severity's text: a record has no name.
        }
        var text = ""
        for field in item.fields where field.number == number && field.isBytes { text = field.bytes.text }
        return "\(signal) item \"\(text.prefix(128))\""
    }
}
