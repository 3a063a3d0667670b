internal import HTTP
internal import Pipeline

/// A request of very many items, handed on a part at a time: what the pipelines do with each item is linear, and nobody
/// else of the loop should wait for all of it. Event loop only.
///
/// A part that is refused ends it: the client is told to send the request again, with what was taken already.
final class PartedRequest {
    /// A request of more items is handed on in parts. No batch of usual size: agents send 8 192 at most.
    static let itemsMax = 10_000
    private static let partItems = 5_000

    private var parts: ArraySlice<Batch>
    private let items: Int
    private let bytes: Int
    private(set) var refusal: Refusal?
    /// Of parts that nobody took.
    private(set) var itemsLeft: Int

    /// - Parameter bytes: of the request as it was received.
    init(_ batch: Batch, bytes: Int) {
        parts = batch.cut(maxItems: Self.partItems)[...]
        items = batch.items
        itemsLeft = batch.items
        self.bytes = bytes
    }

    var isDone: Bool { parts.isEmpty || refusal != nil }

    /// Hands on the next part; there must be one. The time is excused as that of a request is.
    func step(_ target: Target, _ account: ConnectionAccount) {
        let part = parts.removeFirst()
        part.entry = Batch.Entry(target.counters.accepted, items: part.items)
        let received = bytes * part.items / max(items, 1)
        refusal = account.excusing({ target.input.consumer.consume(part) }, bytes: { _ in received })
        if refusal == nil { itemsLeft -= part.items }
    }
}
