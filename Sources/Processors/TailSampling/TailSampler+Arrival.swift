internal import NIOCore
internal import OTLP
internal import Pipeline
internal import TraceStore

extension TailSampler {
    func take(_ batch: Batch) {
        eventLoop.preconditionInEventLoop()
        guard !isStopped else {
            // Posted by somebody who had been let in before the stop.
            metrics.evicted.add(batch.items)
            batch.settle(.refused(Refusal(.shuttingDown, "the gateway is stopping")))
            return
        }
        if let durable { return persist(batch, in: durable) }
        ingest(batch)
        batch.settle(.accepted)
    }

    /// Sorts a request's spans by trace. Owes nobody an answer.
    func ingest(_ batch: Batch) {
        let now = eventLoop.now
        for slice in batch.slices {
            let spans = unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                let request = unsafe WireBytes(bytes)
                return grouper.walk(request) {
                    prefetch($0)
                } _: { group, envelope in
                    arrive(group, envelope, of: request, now)
                }
            }
            metrics.malformed.add(max(0, slice.items - spans))
        }
        if config.strategy == .spanIngest { decideWhatCame(now) }
        // Spans that came late leave together, and wait no longer when `max_bytes` is looked at.
        emit(all: true)
        shrink(now)
        show()
    }

    /// Asks for what `arrive` will look at to be brought into the cache.
    private func prefetch(_ groups: [SpanGroup]) {
        store.prefetch(groups)
        sampledCache.prefetch(groups)
        notSampledCache.prefetch(groups)
    }

    private func arrive(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, _ now: NIODeadline
    ) {
        if let (index, note) = store.findNoted(group.trace) {
            switch note {
            case State.sampled, State.notSampled:
                metrics.lateAge.observe(Double((now - store.noted(index)).nanoseconds) / 1e9)
                late(group, envelope, of: request, isSampled: note == State.sampled)
            default: add(group, envelope, of: request, to: index, now)
            }
            return
        }
        let isSampled = sampledCache.contains(group.trace)
        if isSampled || notSampledCache.contains(group.trace) {
            metrics.countCached(sampled: isSampled, group.spans)
            late(group, envelope, of: request, isSampled: isSampled)
            return
        }
        makeRoom(now)
        let index = store.add(group.trace, at: now)
        undecided += 1
        metrics.newTraces.add(1)
        waiting.append(
            Ticket(
                index: index, generation: store.generation(index),
                due: now + TimeAmount(config.decisionWait)))
        add(group, envelope, of: request, to: index, now)
    }

    /// Spans of a trace that was decided.
    private func late(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, isSampled: Bool
    ) {
        guard isSampled else { return metrics.notSampled.add(group.spans) }
        durable?.passed()
        writer.add(store.makeChain(group, envelope, of: request, grouper))
    }

    private func add(
        _ group: SpanGroup, _ envelope: EnvelopeTable.ID, of request: WireBytes, to index: TraceStore.Index,
        _ now: NIODeadline
    ) {
        durable?.joined(index)
        let came = store.append(group, envelope, of: request, grouper, to: index)
        if config.traceBytesMax > 0, store.chain(index).wireBytes > config.traceBytesMax {
            metrics.tooLarge.add(1)
            // What came of it before in this request goes with it.
            if let known = touchedPlaces[index] { touched[known].chains = [] }
            settle(index, .notSampled)
            return
        }
        if group.hasRoot, config.waitAfterRoot > .zero {
            rooted.append(
                Ticket(
                    index: index, generation: store.generation(index),
                    due: now + TimeAmount(config.waitAfterRoot)))
        }
        guard config.strategy == .spanIngest else { return }
        let generation = store.generation(index)
        if let known = touchedPlaces[index], touched[known].generation == generation {
            touched[known].chains.append(came)
        } else {
            touchedPlaces[index] = touched.count
            touched.append(Touched(index: index, generation: generation, chains: [came]))
        }
    }

    /// Makes room for one trace more.
    private func makeRoom(_ now: NIODeadline) {
        while store.count >= config.numTraces, let oldest = store.oldest {
            let isUndecided = Self.isUndecided(store.note(oldest))
            // With `block_on_overflow` nothing undecided is lost: who brings more is refused until there is room.
            if config.blocksOnOverflow, isUndecided { break }
            if isUndecided {
                metrics.droppedTooEarly.add(1)
                metrics.evicted.add(store.chain(oldest).spans)
                undecided -= 1
                durable?.decided(oldest, isSampled: false)
            }
            metrics.removalAge.observe(Double((now - store.arrival(oldest)).nanoseconds) / 1e9)
            store.remove(oldest)
        }
    }

    /// Whether a trace is still the one of this generation, undecided and not empty.
    func isOpen(_ index: TraceStore.Index, _ generation: UInt32) -> Bool {
        store.noteOfSpans(index, generation).map(Self.isUndecided) ?? false
    }

    static func isUndecided(_ note: UInt8) -> Bool { note == State.undecided || note == State.toBeSampled }

    /// `span-ingest`: what came of a trace is looked at by itself.
    private func decideWhatCame(_ now: NIODeadline) {
        for part in touched {
            guard isOpen(part.index, part.generation) else { continue }
            let trace = store.trace(part.index)
            for chain in part.chains {
                switch policies.decide(TraceView(trace, chain, store.envelopes), now: now) {
                case .notSampled: continue
                case .dropped: settle(part.index, .dropped)
                case .sampled where policies.drops:
                    store.note(part.index, State.toBeSampled, at: now)
                    continue
                case .sampled: settle(part.index, .sampled)
                }
                break
            }
        }
        touched.removeAll(keepingCapacity: true)
        touchedPlaces.removeAll(keepingCapacity: true)
    }
}
