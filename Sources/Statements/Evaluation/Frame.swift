internal import OTLP

/// What a statement runs on: the messages from the resource down to the item, and what lives as long as one item.
/// One pass has one; one thread.
package final class Frame {
    /// A `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    var resourceGroup = Message()
    /// A `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
    var scopeGroup = Message()
    /// A span, metric or log record.
    var item = Message()
    /// A span event or data point; `index` is its place.
    var part = Message()
    var index = 0
    var exemplar = Message()
    /// The metrics made by the pass so far, to be appended when it has seen the scope's.
    var made: [Message] = []
    /// The map of `cache`, emptied for each item.
    var cache: [MapEntry] = []
    /// The text that a function given as an argument is applied to.
    var slot = Value.null

    package init() {}

    var resource: Message? { resourceGroup.child(1) }
    var scope: Message? { scopeGroup.child(1) }
}
