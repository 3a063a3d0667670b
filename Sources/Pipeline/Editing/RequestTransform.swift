package import OTLP

/// What a processor that changes data does to one request. Any thread, several at a time: what it keeps from request to
/// request stands behind a lock of its own.
package protocol RequestTransform: AnyObject, Sendable {
    /// Whether it adds or removes items, which are then counted again. The default says so.
    var changesItems: Bool { get }

    /// Whether it joins items of one batch, so that a batch of several requests must be one before it; costs a copy. Requests
    /// that somebody waits for stay apart. The default says no.
    var needsWholeBatch: Bool { get }

    /// Whether what it makes of a request depends on those before: the same request a second time gives something else. Then
    /// a request that was changed is kept when the next consumer takes no more, and is not told to the client to be sent
    /// again. The default says no.
    var remembers: Bool { get }

    /// A request of more bytes may take it more than some milliseconds, and is worked on beside its event loop. The default:
    /// there is no such number.
    var largeBytes: Int { get }

    /// Changes the open request in place.
    /// - Throws: why the whole batch is refused; nothing of the change is kept.
    func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal)
}

extension RequestTransform {
    package var changesItems: Bool { true }
    package var needsWholeBatch: Bool { false }
    package var remembers: Bool { false }
    package var largeBytes: Int { .max }
}

/// What is known of a request beside its bytes.
package struct EditContext: Sendable {
    package let signal: Signal
    /// Spans, data points or log records, before the change.
    package let items: Int
    /// What the client sent beside the data, when its receiver has `include_metadata: true`.
    package let metadata: ClientMetadata?
    /// Who sent it; nil for data that came into being here.
    package let client: ClientAddress?

    package init(
        signal: Signal, items: Int, metadata: ClientMetadata? = nil, client: ClientAddress? = nil
    ) {
        self.signal = signal
        self.items = items
        self.metadata = metadata
        self.client = client
    }
}
