package import NIOCore
internal import OTLP

/// The node around a processor that changes data: opens requests, writes what came of them, hands that on and counts.
///
/// A request in which nothing changed goes on as the slice that it was, gzip members included. What changed is written into
/// a payload of its own, after the memory limit was asked; but where all that changed stands in front of most of the request, as
/// a resource does, and nobody else has the bytes, it is written in front of those that stay, where they are. Each slice is edited by itself and keeps its acknowledgement, so
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

    package var input: PipelineInput {
        var input = behind.behind(self)
        input.largeBytes = min(input.largeBytes, transform.largeBytes)
        return input
    }

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
            if result.batch !== batch { result.batch.entry = batch.entry }
            let itemsAfter = result.batch.items
            if result.batch.sliceCount > 0 {
                if let refusal = behind.consumer.consume(result.batch) {
                    guard let kept, PatientOutput.mayPass(refusal) else {
                        if let change = result.change { batch.undo(change) }
                        return refusal
                    }
                    result.batch.enter()
                    count(items, itemsAfter, isHandedOn: false)
                    eventLoop.execute { kept.send(result.batch) }
                    for acknowledgement in result.emptied { acknowledgement.settle(.accepted) }
                    return nil
                }
            } else {
                batch.enter()
            }
            count(items, itemsAfter)
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
        var batch: Batch
        /// What was done to the bytes of the batch that came, where that one goes on.
        var change: Batch.FrontChange?
        /// Who waits for slices of which nothing is left.
        var emptied: [Acknowledgement] = []
    }

    /// In seconds: most processors need microseconds.
    private static let durationBounds: [Double] = [
        0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10,
    ]

    /// Longer fronts are written with the rest into a payload of its own.
    private static let frontBytesMax = 8 << 10

    private func edit(_ batch: Batch) -> Result<Edited, Refusal> {
        let start = SystemClock.monotonicNanoseconds()
        defer { duration.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9) }
        return editors.withEditor { editor in
            Result { () throws(Refusal) in
                // Asked before anything else here has the bytes.
                let isAlone = batch.hasBytesAlone
                if let slice = batch.onlySlice {
                    return try edit(slice, of: batch, isAlone: isAlone, with: editor)
                }
                var edited = Edited(batch: Batch(batch.signal, reservingSlices: batch.sliceCount))
                for slice in try transform.needsWholeBatch ? joined(batch) : batch.slices {
                    try edit(slice, batch.signal, with: editor, into: &edited)
                }
                return edited
            }
        }
    }

    /// The batch of one slice goes on itself where its bytes are its own and need not be copied.
    private func edit(
        _ slice: Slice, of batch: Batch, isAlone: Bool, with charged: ChargedEditor
    ) throws(Refusal) -> Edited {
        let frontMax = isAlone && !transform.changesItems ? Self.frontBytesMax : 0
        switch try outcome(of: slice, batch.signal, with: charged, frontMax: frontMax) {
        case .unchanged:
            if isAlone { return Edited(batch: batch) }
            let passed = Batch(batch.signal)
            passed.append(slice)
            return Edited(batch: passed)
        case .front(let front):
            let change = batch.replaceFront(with: front.bytes, before: front.tailCount)
            precondition(change != nil, "there was room in front of what stays")
            return Edited(batch: batch, change: change)
        case .written(let payload):
            let items = items(of: payload, slice, batch.signal)
            guard items > 0 else {
                return Edited(batch: Batch(batch.signal), emptied: slice.acknowledgement.map { [$0] } ?? [])
            }
            let written = Batch(
                batch.signal, payload: payload, items: items, acknowledgement: slice.acknowledgement,
                isGiven: true)
            return Edited(batch: written)
        }
    }

    private func edit(
        _ slice: Slice, _ signal: Signal, with charged: ChargedEditor, into edited: inout Edited
    ) throws(Refusal) {
        guard case .written(let payload) = try outcome(of: slice, signal, with: charged) else {
            return edited.batch.append(slice)
        }
        let items = items(of: payload, slice, signal)
        guard items > 0 else {
            if let acknowledgement = slice.acknowledgement { edited.emptied.append(acknowledgement) }
            return
        }
        edited.batch.append(
            Slice(
                payload, offset: 0, count: payload.bytes.readableBytes, items: items,
                acknowledgement: slice.acknowledgement))
    }

    /// What came of a request.
    private enum Outcome {
        case unchanged
        /// There is room for it in front of the rest.
        case front(RequestEditor.Front)
        case written(Payload)
    }

    /// - Parameter frontMax: up to how many bytes may be put in front of the rest.
    private func outcome(
        of slice: Slice, _ signal: Signal, with charged: ChargedEditor, frontMax: Int = 0
    ) throws(Refusal) -> Outcome {
        let editor = charged.editor
        let context = EditContext(
            signal: signal, items: slice.items, metadata: slice.payload.metadata, client: slice.payload.client
        )
        let bytes = slice.bytes
        let result = unsafe bytes.withUnsafeReadableBytes { buffer in
            Result { () throws(Refusal) -> Outcome in
                // SAFETY: `bytes` lives, unchanged, until the editor has written what came of it.
                unsafe editor.open(WireBytes(buffer))
                try transform.apply(to: editor, context)
                if let refusal = charged.refusal { throw refusal }
                guard editor.isChanged else { return .unchanged }
                let count = editor.writtenCount
                if frontMax > 0, let front = editor.front(of: count, atMost: min(frontMax, count / 2)),
                    front.bytes.count <= slice.payload.bytes.readerIndex + buffer.count - front.tailCount
                {
                    return .front(front)
                }
                return .written(try written(editor, count, slice.payload))
            }
        }
        return try result.get()
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

    private func written(
        _ editor: RequestEditor, _ count: Int, _ source: Payload
    ) throws(Refusal) -> Payload {
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

    /// How many items a payload has that was made of a slice.
    private func items(of payload: Payload, _ slice: Slice, _ signal: Signal) -> Int {
        guard transform.changesItems else { return slice.items }
        return unsafe payload.bytes.withUnsafeReadableBytes { bytes in
            // SAFETY: borrowed for the call.
            let items = unsafe ItemCount.request(WireBytes(bytes), signal)
            assert(
                unsafe (try? summarize(bytes, as: signal).items) == items,
                "a changed request is not valid any more")
            return items
        }
    }
}
