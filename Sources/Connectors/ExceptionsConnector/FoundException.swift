internal import MetricBuilding
internal import OTLP

/// An exception of a span, where it was found. Borrows as `WireBytes`.
struct FoundException {
    let resource: WireBytes
    let service: WireBytes
    let span: SpanFields
    let event: WireBytes
    /// The number of its resource and its span in the request: neighbours have the same ones.
    let resourceNumber: Int
    let spanNumber: Int
    /// Values of the dimensions.
    fileprivate let values: (span: [WireBytes?], event: [WireBytes?], resource: [WireBytes?])

    /// The value of a dimension, an `AnyValue`: of the span, else the event, else the resource.
    func value(_ dimension: Int) -> WireBytes? {
        values.span[dimension] ?? values.event[dimension] ?? values.resource[dimension]
    }

    /// Whether a dimension is an attribute of the span.
    func isOfSpan(_ dimension: Int) -> Bool { values.span[dimension] != nil }
}

/// Finds the exceptions of requests of traces: span events of the name `exception`, of resources with a `service.name`. One
/// thread.
///
/// What resources and spans have is looked up once for all their exceptions: looked up with each, 50 000 attributes and as many
/// events would hold a loop for seconds.
struct ExceptionReader {
    private var ofResource: AttributeFinder
    private var ofSpan: AttributeFinder
    private var ofEvent: AttributeFinder

    init(_ dimensions: [ExceptionsConfig.Dimension]) {
        ofResource = AttributeFinder(dimensions.map(\.key))
        (ofSpan, ofEvent) = (ofResource, ofResource)
    }

    mutating func forEach<Failure: Error>(
        in request: WireBytes, _ body: (FoundException) throws(Failure) -> Void
    ) throws(Failure) {
        var (resourceNumber, spanNumber) = (0, 0)
        for entry in request.fields where entry.number == Field.Request.resources && entry.isBytes {
            let resource = entry.bytes.message(Field.ResourceEntry.resource)
            guard
                case .string(let service)? = resource.attribute("service.name", in: Field.Resource.attributes)
            else { continue }
            resourceNumber += 1
            ofResource.clear()
            ofResource.find(in: resource, Field.Resource.attributes)
            for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes && scope.isBytes
            {
                for item in scope.bytes.fields where item.number == Field.ScopeEntry.entries && item.isBytes {
                    var span: SpanFields?
                    for field in item.bytes.fields
                    where field.number == Field.Span.events && field.isBytes
                        && field.bytes.message(Field.SpanEvent.name) == "exception"
                    {
                        if span == nil { spanNumber += 1 }
                        let known = span ?? read(item.bytes)
                        span = known
                        ofEvent.clear()
                        ofEvent.find(in: field.bytes, Field.SpanEvent.attributes)
                        try body(
                            FoundException(
                                resource: resource, service: service, span: known, event: field.bytes,
                                resourceNumber: resourceNumber, spanNumber: spanNumber,
                                values: (ofSpan.values, ofEvent.values, ofResource.values)))
                    }
                }
            }
        }
    }

    private mutating func read(_ message: WireBytes) -> SpanFields {
        let span = SpanFields(message)
        ofSpan.clear()
        ofSpan.find(in: span.attributes, Field.Span.attributes)
        return span
    }
}
