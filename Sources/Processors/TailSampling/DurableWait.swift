internal import Logging
internal import NIOCore
internal import Pipeline
internal import TraceStore

/// The requests of which spans wait, on disk (`storage`): a sampler that is killed finds them again.
///
/// A request is forgotten when no trace that has spans of it waits any more, and the exporters have those that were sampled, or
/// have given them up, which they count.
/// Event loop only.
final class DurableWait {
    private struct Record {
        let stored: StoredBatch
        /// Traces that wait with spans of it, requests under way with some, and who looks at it right now.
        var users = 1
    }

    let store: any BatchStore
    let recovered: Counter
    let refused: Counter
    private var records: [UInt64: Record] = [:]
    /// The records of which a trace has spans.
    private var ofTrace: [TraceStore.Index: [UInt64]] = [:]
    /// Those of which spans are about to leave.
    private var leaving: [UInt64] = []
    /// The one whose spans come right now.
    private var current: UInt64?

    init(_ store: any BatchStore, recovered: Counter, refused: Counter) {
        self.store = store
        self.recovered = recovered
        self.refused = refused
    }

    /// Spans of requests that are on disk.
    var items: Int { records.values.reduce(0) { $0 + $1.stored.items } }

    /// The spans of a stored request come from now on.
    func begin(_ stored: StoredBatch) {
        records[stored.id] = Record(stored: stored)
        current = stored.id
    }

    /// All spans of the request have come.
    func end() {
        guard let id = current.take() else { return }
        release([id])
    }

    /// A trace has got spans of the request at hand.
    func joined(_ trace: TraceStore.Index) {
        guard let id = current, ofTrace[trace]?.last != id else { return }
        ofTrace[trace, default: []].append(id)
        records[id]?.users += 1
    }

    /// Spans of the request at hand leave at once.
    func passed() {
        guard let id = current, leaving.last != id else { return }
        leaving.append(id)
        records[id]?.users += 1
    }

    /// A trace waits no more: its spans are about to leave, or nobody wants them.
    func decided(_ trace: TraceStore.Index, isSampled: Bool) {
        guard let ids = ofTrace.removeValue(forKey: trace) else { return }
        if isSampled { leaving += ids } else { release(ids) }
    }

    /// The records of all spans that leave together, in so many requests: each of these ends by itself.
    func takeLeaving(in requests: Int) -> [UInt64] {
        for id in leaving where requests > 1 { records[id]?.users += requests - 1 }
        defer { leaving = [] }
        return leaving
    }

    /// What became of spans that left.
    func ended(_ ids: [UInt64], _ outcome: Outcome) {
        // What a stop left undone is found again.
        if case .refused(let refusal) = outcome, refusal.reason == .shuttingDown { return }
        release(ids)
    }

    private func release(_ ids: [UInt64]) {
        for id in ids {
            guard let record = records[id] else { continue }
            if record.users > 1 {
                records[id]?.users -= 1
            } else {
                records[id] = nil
                store.remove(record.stored)
            }
        }
    }
}

/// A request on its way to the disk.
private final class Deposit {
    var parts: [StoredPart] = []
}

extension TailSampler {
    /// Takes a request's spans when they are on disk, and only then says so.
    func persist(_ batch: Batch, in wait: DurableWait) {
        let deposit = Deposit()
        deposit.parts = wait.store.append(batch) { [self] fault in
            if let fault {
                wait.refused.add(batch.items)
                return batch.settle(.refused(fault))
            }
            // After a stop they are where the next start finds them.
            if !isStopped {
                for part in deposit.parts { ingest(part.batch, part.stored) }
            }
            batch.settle(.accepted)
        }
    }

    /// Takes what an earlier process left. Its traces wait anew.
    func recover() -> EventLoopFuture<Void> {
        guard let durable else { return eventLoop.makeSucceededVoidFuture() }
        let promise = eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, durable), eventLoop: eventLoop)
        durable.store.open().whenComplete { result in
            let (sampler, durable) = bound.value
            switch result {
            case .success(let found):
                if !found.isEmpty {
                    sampler.logger.info(
                        "Taking what an earlier process left in the store.",
                        metadata: ["batches": "\(found.count)"])
                }
                sampler.recover(found[...], from: durable, promise)
            case .failure(let error): promise.fail(error)
            }
        }
        return promise.futureResult
    }

    private func recover(
        _ found: ArraySlice<StoredBatch>, from wait: DurableWait, _ promise: EventLoopPromise<Void>
    ) {
        guard let stored = found.first else { return promise.succeed() }
        wait.store.read(stored) { [self] batch in
            if let batch {
                wait.recovered.add(stored.items)
                ingest(batch, stored)
            } else {
                wait.store.remove(stored)
            }
            recover(found.dropFirst(), from: wait, promise)
        }
    }

    private func ingest(_ batch: Batch, _ stored: StoredBatch) {
        durable?.begin(stored)
        ingest(batch)
        durable?.end()
    }

    /// Tells the store when the exporters have what leaves.
    func acknowledgement(of ids: [UInt64]) -> Acknowledgement? {
        guard let durable, !ids.isEmpty else { return nil }
        let bound = NIOLoopBound(durable, eventLoop: eventLoop)
        let eventLoop = eventLoop
        return Acknowledgement { outcome in
            eventLoop.execute { bound.value.ended(ids, outcome) }
        }
    }
}
