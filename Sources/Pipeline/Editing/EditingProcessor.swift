package import NIOCore
internal import OTLP

/// The node around a processor that changes data: opens requests, writes what came of them, hands that on and counts.
///
/// A request in which nothing changed goes on as the slice that it was, gzip members included. What changed is written into
/// a payload of its own, after the memory limit was asked. Each slice is edited by itself and keeps its acknowledgement, so
/// whoever waits hears of its own data. Behind a transform that remembers, what was changed and is refused for a reason that
/// may pass is kept and offered again, and what comes meanwhile is refused before it is changed. Any thread.
package final class EditingProcessor: Consumer, PipelineComponent {
    private let transform: any RequestTransform
    private let behind: PipelineInput
    private let editors: EditorPool
    private let ledger: MemoryLedger
    private let eventLoop: any EventLoop
    /// What the next consumer did not take, where the transform remembers.
    private let kept: PatientOutput?
    private let entered: Counter
    private let made: Counter
    private let left: Counter
    private let dropped: Counter
    private let invalid: Counter
    private let duration: Histogram
    private let startTransform: @Sendable () async throws -> Void
    private let stopTransform: @Sendable (NIODeadline) async -> Remainder

    /// - Parameters:
    ///   - dropReason: why there may be fewer items behind it than before.
    ///   - start: what the transform needs to run: see `Component`.
    package init(
        _ transform: any RequestTransform, _ context: ComponentContext, next: PipelineInput,
        dropReason: DropReason = .filtered,
        start: @escaping @Sendable () async throws -> Void = {},
        stop: @escaping @Sendable (NIODeadline) async -> Remainder = { _ in Remainder() }
    ) {
        self.transform = transform
        behind = next
        editors = EditorPool(ledger: context.ledger)
        ledger = context.ledger
        startTransform = start
        stopTransform = stop
        let account = context.account
        let labels: MetricLabels = ["processor": context.name, "otel_signal": context.signal.name]
        entered = account.counter(
            .entered, "otelcol_processor_incoming_items", help: "Items that the processor took.",
            labels: labels)
        left = account.counter(
            .left, "otelcol_processor_outgoing_items", help: "Items that the processor sent on.",
            labels: labels)
        duration = context.registry.histogram(
            "otelcol_processor_internal_duration", help: "Seconds that the processor worked on a request.",
            bounds: Self.durationBounds, labels: labels)
        made = account.counter(.made)
        dropped = account.counter(.dropped(dropReason))
        invalid = account.counter(.dropped(.invalid))
        eventLoop = context.eventLoop
        kept =
            transform.remembers
            ? PatientOutput(next.consumer, eventLoop: eventLoop, logger: context.logger, left: left) : nil
    }

    package var input: PipelineInput { behind.behind(self) }

    package func start() async throws { try await startTransform() }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        if let kept {
            // Never fails: draining ends at the deadline.
            try? await eventLoop.flatSubmit { kept.drain(until: deadline) }.get()
        }
        return await stopTransform(deadline)
    }

    package func consume(_ batch: Batch) -> Refusal? {
        let items = batch.items
        if let kept, kept.isStuck { return PatientOutput.takesNoMore }
        switch edit(batch) {
        case .failure(let refusal): return refusal
        case .success(let result):
            // The source counts its items in when somebody takes them.
            result.batch.entry = batch.entry
            if result.batch.sliceCount > 0 {
                if let refusal = behind.consumer.consume(result.batch) {
                    guard let kept, PatientOutput.mayPass(refusal) else { return refusal }
                    result.batch.enter()
                    count(items, result.batch.items, isHandedOn: false)
                    eventLoop.execute { kept.send(result.batch) }
                    for acknowledgement in result.emptied { acknowledgement.settle(.accepted) }
                    return nil
                }
            } else {
                batch.enter()
            }
            count(items, result.batch.items)
            for acknowledgement in result.emptied { acknowledgement.settle(.accepted) }
            return nil
        }
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        let items = batch.items
        switch edit(batch) {
        case .failure:
            entered.add(items)
            invalid.add(items)
            batch.settle(.refused(refusal))
        case .success(let result):
            count(items, result.batch.items)
            if result.batch.sliceCount > 0 { behind.consumer.drop(result.batch, because: refusal) }
            for acknowledgement in result.emptied { acknowledgement.settle(.refused(refusal)) }
        }
    }

    private func count(_ before: Int, _ after: Int, isHandedOn: Bool = true) {
        entered.add(before)
        if after > before { made.add(after - before) }
        if isHandedOn { left.add(after) }
        if before > after { dropped.add(before - after) }
    }

    // MARK: - Editing

    private struct Edited {
        /// Without slices when nothing is left.
        let batch: Batch
        /// Who waits for slices of which nothing is left.
        var emptied: [Acknowledgement] = []
    }

    /// In seconds: most processors need microseconds.
    private static let durationBounds: [Double] = [
        0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10,
    ]

    private func edit(_ batch: Batch) -> Result<Edited, Refusal> {
        let start = SystemClock.monotonicNanoseconds()
        defer { duration.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9) }
        return editors.withEditor { editor in
            Result { () throws(Refusal) in
                var edited = Edited(batch: Batch(batch.signal, reservingSlices: batch.sliceCount))
                for slice in try transform.needsWholeBatch ? joined(batch) : batch.slices {
                    try edit(slice, batch.signal, with: editor, into: &edited)
                }
                return edited
            }
        }
    }

    private func edit(
        _ slice: Slice, _ signal: Signal, with charged: ChargedEditor, into edited: inout Edited
    ) throws(Refusal) {
        let editor = charged.editor
        let context = EditContext(
            signal: signal, items: slice.items, metadata: slice.payload.metadata, client: slice.payload.client
        )
        let bytes = slice.bytes
        let outcome = unsafe bytes.withUnsafeReadableBytes { buffer in
            Result { () throws(Refusal) in
                // SAFETY: `bytes` lives, unchanged, until the editor has written what came of it.
                unsafe editor.open(WireBytes(buffer))
                try transform.apply(to: editor, context)
                if let refusal = charged.refusal { throw refusal }
                return editor.isChanged ? try written(editor, slice.payload) : nil
            }
        }
        guard let payload = try outcome.get() else { return edited.batch.append(slice) }
        let items = transform.changesItems ? Self.items(of: payload, signal) : slice.items
        guard items > 0 else {
            if let acknowledgement = slice.acknowledgement { edited.emptied.append(acknowledgement) }
            return
        }
        edited.batch.append(
            Slice(
                payload, offset: 0, count: payload.bytes.readableBytes, items: items,
                acknowledgement: slice.acknowledgement))
    }

    /// The slices, those for which nobody waits as one.
    private func joined(_ batch: Batch) throws(Refusal) -> ContiguousArray<Slice> {
        let slices = batch.slices
        var whole = ContiguousArray(slices.filter { $0.acknowledgement != nil })
        let free = slices.filter { $0.acknowledgement == nil }
        guard free.count > 1 else { return slices }
        let count = free.reduce(0) { $0 + $1.count }
        try admit(count)
        var bytes = ByteBuffer()
        bytes.reserveCapacity(count)
        for slice in free { bytes.writeImmutableBuffer(slice.bytes) }
        let payload = Payload(bytes, ledger: ledger)
        payload.metadata = free.first?.payload.metadata
        payload.client = free.first?.payload.client
        whole.append(Slice(payload, offset: 0, count: count, items: free.reduce(0) { $0 + $1.items }))
        return whole
    }

    private func written(_ editor: RequestEditor, _ source: Payload) throws(Refusal) -> Payload {
        let count = editor.writtenCount
        try admit(count)
        let payload = source.successor(capacity: count, ledger: ledger)
        unsafe payload.bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            // SAFETY: the room has at least `count` bytes.
            unsafe editor.write(into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
            return count
        }
        return payload
    }

    private func admit(_ bytes: Int) throws(Refusal) {
        if let refusal = ledger.admit(bytes: bytes) { throw refusal }
    }

    private static func items(of payload: Payload, _ signal: Signal) -> Int {
        unsafe payload.bytes.withUnsafeReadableBytes { bytes in
            // SAFETY: borrowed for the call.
            let items = unsafe ItemCount.request(WireBytes(bytes), signal)
            assert(
                unsafe (try? summarize(bytes, as: signal).items) == items,
                "a changed request is not valid any more")
            return items
        }
    }
}
