package import NIOCore
internal import OTLP

/// A span before it is written. Times are nanoseconds since 1970.
package struct SpanDraft: Sendable {
    package struct Event: Sendable {
        package var time: UInt64
        package var name: [UInt8]
        package var tags = TagList()
        package var droppedTags: UInt64 = 0

        package init(time: UInt64, name: [UInt8]) {
            self.time = time
            self.name = name
        }
    }

    package struct Link: Sendable {
        package var traceID: [UInt8]
        package var spanID: [UInt8]
        package var traceState: [UInt8] = []
        package var tags = TagList()
        package var droppedTags: UInt64 = 0

        package init(traceID: [UInt8], spanID: [UInt8]) {
            self.traceID = traceID
            self.spanID = spanID
        }
    }

    package enum Kind: UInt64, Sendable {
        case unspecified = 0
        case `internal`, server, client, producer, consumer
    }

    package enum Status: UInt64, Sendable {
        case unset = 0
        case ok, error
    }

    /// 16 bytes.
    package var traceID: [UInt8] = []
    /// 8 bytes.
    package var spanID: [UInt8] = []
    /// 8 bytes, or none.
    package var parentID: [UInt8] = []
    package var traceState: [UInt8] = []
    package var name: [UInt8] = []
    package var kind = Kind.unspecified
    package var start: UInt64 = 0
    package var end: UInt64 = 0
    package var tags = TagList()
    package var events: [Event] = []
    package var links: [Link] = []
    package var status = Status.unset
    package var statusMessage: [UInt8] = []

    package init() {}

    fileprivate func write(into buffer: inout ProtobufBuffer) {
        buffer.begin(Field.ScopeEntry.entries)
        buffer.field(Field.Span.traceID, traceID)
        buffer.field(Field.Span.spanID, spanID)
        if !traceState.isEmpty { buffer.field(Field.Span.traceState, traceState) }
        if !parentID.isEmpty { buffer.field(Field.Span.parentSpanID, parentID) }
        buffer.field(Field.Span.name, name)
        if kind != .unspecified { buffer.integer(Field.Span.kind, kind.rawValue) }
        buffer.fixed64(Field.Span.startTime, start)
        buffer.fixed64(Field.Span.endTime, end)
        tags.attributes.write(Field.Span.attributes, into: &buffer)
        for event in events {
            buffer.begin(Field.Span.events)
            buffer.fixed64(Field.SpanEvent.time, event.time)
            buffer.field(Field.SpanEvent.name, event.name)
            event.tags.attributes.write(Field.SpanEvent.attributes, into: &buffer)
            if event.droppedTags > 0 {
                buffer.integer(Field.SpanEvent.droppedAttributesCount, event.droppedTags)
            }
            buffer.end()
        }
        for link in links {
            buffer.begin(Field.Span.links)
            buffer.field(Field.SpanLink.traceID, link.traceID)
            buffer.field(Field.SpanLink.spanID, link.spanID)
            if !link.traceState.isEmpty { buffer.field(Field.SpanLink.traceState, link.traceState) }
            link.tags.attributes.write(Field.SpanLink.attributes, into: &buffer)
            if link.droppedTags > 0 {
                buffer.integer(Field.SpanLink.droppedAttributesCount, link.droppedTags)
            }
            buffer.end()
        }
        if status != .unset || !statusMessage.isEmpty {
            buffer.message(Field.Span.status) {
                if !statusMessage.isEmpty { $0.field(Field.SpanStatus.message, statusMessage) }
                if status != .unset { $0.integer(Field.SpanStatus.code, status.rawValue) }
            }
        }
        buffer.end()
    }
}

/// An `ExportTraceServiceRequest` that is put together span by span, whatever the order of their resources and scopes. What came
/// first is written first. One thread.
package struct TraceRequest {
    private struct Scope {
        let name: [UInt8]
        let version: [UInt8]
        var spans = ProtobufBuffer()
    }

    private struct Resource {
        let attributes: AttributeList
        var scopes: [Scope] = []
        var places: [[UInt8]: Int] = [:]
    }

    private var resources: [Resource] = []
    private var places: [[UInt8]: Int] = [:]
    /// Of all spans so far.
    package private(set) var bytes = 0

    package init() {}

    /// The resource with a key, made when it is a new one.
    package mutating func resource(_ key: [UInt8], _ attributes: () -> AttributeList) -> Int {
        if let place = places[key] { return place }
        let list = attributes()
        resources.append(Resource(attributes: list))
        bytes += list.bytes.count
        places[key] = resources.count - 1
        return resources.count - 1
    }

    /// Whether there is a resource with a key.
    package func hasResource(_ key: [UInt8]) -> Bool { places[key] != nil }

    /// Adds a span to a resource, and to the scope of this name and version.
    package mutating func add(
        _ span: SpanDraft, to resource: Int, scope name: [UInt8] = [], version: [UInt8] = []
    ) {
        let key = name + [0] + version
        let place = resources[resource].places[key] ?? resources[resource].scopes.count
        if place == resources[resource].scopes.count {
            resources[resource].scopes.append(Scope(name: name, version: version))
            resources[resource].places[key] = place
            bytes += key.count
        }
        let before = resources[resource].scopes[place].spans.bytes.readableBytes
        span.write(into: &resources[resource].scopes[place].spans)
        bytes += resources[resource].scopes[place].spans.bytes.readableBytes - before
    }

    /// The request. Its parts are given up one by one while it is written.
    package mutating func finish() -> ByteBuffer {
        var buffer = ProtobufBuffer()
        buffer.reserve(bytes + 64 * resources.count)
        for place in resources.indices {
            let resource = resources[place]
            resources[place].scopes = []
            buffer.begin(Field.Request.resources)
            buffer.message(Field.ResourceEntry.resource) {
                resource.attributes.write(Field.Resource.attributes, into: &$0)
            }
            for scope in resource.scopes {
                buffer.begin(Field.ResourceEntry.scopes)
                buffer.message(Field.ScopeEntry.scope) {
                    if !scope.name.isEmpty { $0.field(Field.Scope.name, scope.name) }
                    if !scope.version.isEmpty { $0.field(Field.Scope.version, scope.version) }
                }
                buffer.raw(scope.spans.bytes)
                buffer.end()
            }
            buffer.end()
        }
        return buffer.bytes
    }
}
