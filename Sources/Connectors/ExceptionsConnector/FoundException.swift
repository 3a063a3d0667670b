internal import MetricBuilding
internal import OTLP

/// An exception of a span, where it was found. Borrows as `WireBytes`.
struct FoundException {
    let resource: WireBytes
    let service: WireBytes
    let span: SpanFields
    let event: WireBytes

    /// Gives the exceptions of a request of traces: span events of the name `exception`, of resources with a `service.name`.
    static func forEach(in request: WireBytes, _ body: (FoundException) -> Void) {
        for entry in request.fields where entry.number == Field.Request.resources && entry.isBytes {
            let resource = entry.bytes.message(Field.ResourceEntry.resource)
            guard
                case .string(let service)? = resource.attribute("service.name", in: Field.Resource.attributes)
            else { continue }
            for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes && scope.isBytes
            {
                for item in scope.bytes.fields where item.number == Field.ScopeEntry.entries && item.isBytes {
                    for field in item.bytes.fields
                    where field.number == Field.Span.events && field.isBytes
                        && field.bytes.message(Field.SpanEvent.name) == "exception"
                    {
                        body(
                            FoundException(
                                resource: resource, service: service, span: SpanFields(item.bytes),
                                event: field.bytes))
                    }
                }
            }
        }
    }

    /// The value of an attribute of the span, else the event, else the resource.
    func value(_ key: AttributeKey) -> AttributeValue? {
        span.message.attribute(key, in: Field.Span.attributes)
            ?? event.attribute(key, in: Field.SpanEvent.attributes)
            ?? resource.attribute(key, in: Field.Resource.attributes)
    }

    /// Adds the configured labels.
    func add(_ dimensions: [ExceptionsConfig.Dimension], to labels: inout AttributeList) {
        for dimension in dimensions {
            if let value = value(dimension.key) {
                labels.add(dimension.key.bytes, value)
            } else if let value = dimension.value {
                labels.add(dimension.key.description, value)
            }
        }
    }
}
