internal import Configuration
internal import Logging
internal import NIOCore
internal import OTLP
package import Pipeline
internal import Statements
import Synchronization

extension ComponentType {
    /// `routing`.
    package static let routing = connector(
        "routing", stability: .alpha, pairs: Set(Signal.allCases.map { SignalPair($0, $0) }),
        RoutingConfig.self
    ) {
        try RoutingConnector($0, $1, $2)
    }
}

/// Hands each part of a request to the pipelines of the row that it matches: `routing`. Any thread.
package final class RoutingConnector: Consumer, PipelineComponent {
    private let destinations: [ConnectorOutputs]
    private let joined: PipelineInput
    private let makeTable: @Sendable () -> RouteTable
    /// Tables that nobody uses at the moment.
    private let tables = Mutex(Tables())
    private let ledger: MemoryLedger
    private let entered: Counter
    private let made: Counter
    private let left: Counter
    private let unmatched: Counter
    private let refused: Counter

    private struct Tables: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): a table is used by the thread that took it out.
        var free: [RouteTable] = []
    }

    package init(
        _ config: RoutingConfig, _ context: ComponentContext, _ outputs: [PipelineOutput]
    ) throws {
        // Rows of equal pipelines have one destination: what matches several of them is sent together. A row with a change
        // has its own, as the change is made to everything there.
        var names: [[String]] = []
        var shared: [[String]: Int] = [:]
        func destination(_ pipelines: [String], isChanged: Bool = false) -> Int {
            if !isChanged {
                if let known = shared[pipelines] { return known }
                shared[pipelines] = names.count
            }
            names.append(pipelines)
            return names.count - 1
        }
        let rows = config.rows.map {
            RouteTable.Row(
                test: $0.test, destination: destination($0.pipelines, isChanged: $0.change != nil),
                copies: $0.copies, change: $0.change)
        }
        let rest = config.defaultPipelines.isEmpty ? nil : destination(config.defaultPipelines)
        destinations = try names.map {
            try ConnectorOutputs(
                outputs, named: $0,
                key: $0 == config.defaultPipelines ? "default_pipelines" : "table::pipelines")
        }
        let (count, signal) = (names.count, context.signal)
        let (ledger, mode) = (context.ledger, config.errorMode)
        let errors = StatementErrors(config.rows.map(\.shownText), context)
        makeTable = {
            RouteTable(
                rows, defaultDestination: rest, destinations: count, signal: signal, ledger: ledger,
                errorMode: mode
            ) { row, error in
                errors.record(
                    row, "\(error)",
                    message: mode == .ignore ? "A row of the routing table failed on an item." : nil)
            }
        }
        self.ledger = ledger
        joined = .joining(destinations.map(\.input))
        entered = context.account.counter(.entered)
        made = context.account.counter(.made)
        left = context.account.counter(.left)
        unmatched = context.account.counter(.dropped(.filtered))
        refused = context.account.counter(.dropped(.invalid))
    }

    package var input: PipelineInput { joined.behind(self) }

    package func consume(_ batch: Batch) -> Refusal? {
        batch.seal()
        let parts: [Batch?]
        switch divide(batch) {
        case .failure(let refusal): return refusal
        case .success(let divided):
            parts = divided.parts
            return hand(parts, of: batch, unmatched: divided.unmatched, emptied: divided.emptied)
        }
    }

    package func drop(_ batch: Batch, because refusal: Refusal) {
        entered.add(batch.items)
        guard case .success(let divided) = divide(batch) else {
            refused.add(batch.items)
            return batch.settle(.refused(refusal))
        }
        count(divided.parts.reduce(divided.unmatched) { $0 + ($1?.items ?? 0) }, of: batch.items)
        unmatched.add(divided.unmatched)
        for (index, part) in divided.parts.enumerated() {
            guard let part else { continue }
            left.add(part.items)
            destinations[index].drop(part, because: refusal)
        }
        for acknowledgement in divided.emptied { acknowledgement.settle(.refused(refusal)) }
    }

    /// Copies are items that come into being here.
    private func count(_ after: Int, of before: Int) { made.add(max(0, after - before)) }

    /// Hands the parts on. Only when nobody takes his is the batch refused: else the client would send what was taken again.
    private func hand(
        _ parts: [Batch?], of batch: Batch, unmatched lost: Int, emptied: [Acknowledgement]
    ) -> Refusal? {
        let after = parts.reduce(lost) { $0 + ($1?.items ?? 0) }
        // Counted by the first that takes something, with what brought the batch here.
        var entry = batch.entry
        var isTaken = false
        func take() {
            guard !isTaken else { return }
            isTaken = true
            entry = nil
            batch.entry = nil
            entered.add(batch.items)
            count(after, of: batch.items)
            unmatched.add(lost)
        }
        if !parts.contains(where: { $0 != nil }) || lost > 0 {
            batch.enter()
            take()
        }
        var refusals: [(Int, Batch, Refusal)] = []
        for (index, part) in parts.enumerated() {
            guard let part else { continue }
            if let refusal = destinations[index].consume(part, entry: entry, []) {
                refusals.append((index, part, refusal))
            } else {
                take()
                left.add(part.items)
            }
        }
        guard isTaken else { return refusals.first { !$0.2.isPermanent }?.2 ?? refusals[0].2 }
        for (index, part, refusal) in refusals {
            left.add(part.items)
            destinations[index].drop(part, because: refusal)
        }
        for acknowledgement in emptied { acknowledgement.settle(.accepted) }
        return nil
    }

    // MARK: - Dividing

    private struct Divided {
        var parts: [Batch?]
        /// Items that go nowhere.
        var unmatched = 0
        /// Who waits for slices of which nothing is left.
        var emptied: [Acknowledgement] = []

        mutating func add(_ slice: Slice, _ signal: Signal, to index: Int) {
            if parts[index] == nil { parts[index] = Batch(signal) }
            parts[index]?.append(slice)
        }
    }

    private func divide(_ batch: Batch) -> Result<Divided, Refusal> {
        let table = tables.withLock { $0.free.popLast() } ?? makeTable()
        defer {
            table.close()
            tables.withLock { if $0.free.count < Self.tablesMax { $0.free.append(table) } }
        }
        return Result { () throws(Refusal) in
            var divided = Divided(parts: Array(repeating: nil, count: destinations.count))
            for slice in batch.slices { try divide(slice, batch.signal, with: table, into: &divided) }
            return divided
        }
    }

    /// As many as loops are usual.
    private static let tablesMax = 8

    private func divide(
        _ slice: Slice, _ signal: Signal, with table: RouteTable, into divided: inout Divided
    ) throws(Refusal) {
        let bytes = slice.bytes
        var pieces: [(index: Int, payload: Payload?)] = []
        let failure = unsafe bytes.withUnsafeReadableBytes { buffer -> Refusal? in
            // SAFETY: `bytes` lives, unchanged, until the last part was written.
            let request = unsafe WireBytes(buffer)
            do throws(EvaluationError) {
                let shares = try table.route(request, slice.payload.metadata)
                if let refusal = table.refusal { return refusal }
                for (index, share) in shares.enumerated() {
                    switch share {
                    case .none: continue
                    case .all: pieces.append((index, nil))
                    case .some:
                        let part = try table.open(index, of: request)
                        if let refusal = table.refusal { return refusal }
                        switch write(part, slice.payload) {
                        case .failure(let refusal): return refusal
                        case .success(let payload): pieces.append((index, payload))
                        }
                    }
                }
                return nil
            } catch {
                return Refusal(
                    .rejected, "a row of the routing table failed: \(error)", isPermanent: true)
            }
        }
        if let failure { throw failure }
        divided.unmatched += table.lost
        guard !pieces.isEmpty else {
            if let acknowledgement = slice.acknowledgement { divided.emptied.append(acknowledgement) }
            return
        }
        let acknowledgement = slice.acknowledgement.map {
            pieces.count == 1 ? $0 : Acknowledgement(.parts, shares: pieces.count, below: $0)
        }
        for (index, payload) in pieces {
            guard let payload else {
                divided.add(slice.acknowledged(by: acknowledgement), signal, to: index)
                continue
            }
            let items = payload.items(signal)
            divided.add(
                Slice(
                    payload, offset: 0, count: payload.bytes.readableBytes, items: items,
                    acknowledgement: acknowledgement), signal, to: index)
        }
    }

    private func write(_ editor: RequestEditor, _ source: Payload) -> Result<Payload, Refusal> {
        let count = editor.writtenCount
        if let refusal = ledger.admit(bytes: count) { return .failure(refusal) }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            // SAFETY: the room has at least `count` bytes.
            unsafe editor.write(into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
            return count
        }
        let payload = Payload(buffer, ledger: ledger)
        payload.metadata = source.metadata
        payload.client = source.client
        return .success(payload)
    }
}

extension Payload {
    /// Items of a request that was made here.
    fileprivate func items(_ signal: Signal) -> Int {
        unsafe bytes.withUnsafeReadableBytes { bytes in
            do throws(WireError) {
                return unsafe try summarize(bytes, as: signal).items
            } catch {
                preconditionFailure("a part of a valid request is not valid: \(error)")
            }
        }
    }
}
