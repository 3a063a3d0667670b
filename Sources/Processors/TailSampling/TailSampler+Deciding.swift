internal import NIOCore
internal import Pipeline
internal import TraceStore

extension TailSampler {
    /// Traces that are decided before other work of the loop gets its turn.
    private static let tracesPerTurn = 256

    /// Decides what is due. Every second.
    func tick() {
        eventLoop.preconditionInEventLoop()
        giveBackUnused()
        guard !isDeciding else { return }
        isDeciding = true
        roundStart = .now()
        decideSome()
    }

    /// Gives memory back that a burst needed, and nothing has since.
    private func giveBackUnused() {
        store.trim()
        writer.trim()
        emptyTicks = store.count == 0 ? emptyTicks + 1 : 0
        guard emptyTicks == Self.emptyTicksMax else { return }
        // Of traces that are gone.
        waiting = CircularBuffer()
        rooted = CircularBuffer()
        store.forgetRecords()
    }

    /// Seconds without a trace, after which the next one finds nothing but what a start finds.
    private static let emptyTicksMax = 10

    private func decideSome() {
        guard !isStopped else {
            isDeciding = false
            return
        }
        let now = eventLoop.now
        var left = Self.tracesPerTurn
        // While the exporters take nothing, what waits stays here, where a limit holds.
        while left > 0, !output.isStuck, let index = nextDue(now) {
            decide(index, now)
            emit(all: false)
            left -= 1
        }
        emit(all: true)
        show()
        if left == 0 {
            eventLoop.executeInTurn { self.decideSome() }
            return
        }
        isDeciding = false
        policies.showTimes()
        metrics.decisionLatency.observe(Double((NIODeadline.now() - roundStart).nanoseconds) / 1e6)
    }

    /// An undecided trace whose time has come.
    private func nextDue(_ now: NIODeadline) -> TraceStore.Index? {
        prefetchAhead(waiting)
        if let index = next(of: &waiting, now) { return index }
        return next(of: &rooted, now)
    }

    /// Asks for the traces that are decided a little later to be brought into the cache: they came long ago.
    private func prefetchAhead(_ queue: CircularBuffer<Ticket>) {
        func ticket(_ ahead: Int) -> Ticket? {
            queue.count > ahead ? queue[queue.index(queue.startIndex, offsetBy: ahead)] : nil
        }
        if let far = ticket(8) { store.prefetch(far.index, spans: false) }
        if let near = ticket(4) {
            store.prefetch(near.index, spans: true)
            let trace = store.trace(near.index)
            sampledCache.prefetch(trace)
            notSampledCache.prefetch(trace)
        }
    }

    private func next(of queue: inout CircularBuffer<Ticket>, _ now: NIODeadline) -> TraceStore.Index? {
        while let ticket = queue.first {
            guard isOpen(ticket.index, ticket.generation) else {
                queue.removeFirst()
                continue
            }
            guard ticket.due <= now else { return nil }
            queue.removeFirst()
            return ticket.index
        }
        return nil
    }

    private func decide(_ index: TraceStore.Index, _ now: NIODeadline) {
        switch config.strategy {
        case .traceComplete:
            let trace = TraceView(store.trace(index), store.chain(index), store.envelopes)
            settle(index, policies.decide(trace, now: now))
        case .spanIngest:
            settle(index, store.note(index) == State.toBeSampled ? .sampled : .notSampled)
        }
    }

    /// Ends the wait of a trace: its spans leave or are given up, its id is remembered.
    func settle(_ index: TraceStore.Index, _ verdict: Verdict) {
        metrics.count(verdict)
        undecided -= 1
        let trace = store.trace(index)
        let chain = store.takeChain(index)
        let isSampled = verdict == .sampled
        durable?.decided(index, isSampled: isSampled)
        if isSampled {
            writer.add(chain)
        } else {
            metrics.notSampled.add(chain.spans)
            store.free(chain)
        }
        if isSampled, sampledCache.isOn {
            sampledCache.insert(trace)
            store.remove(index)
        } else if !isSampled, notSampledCache.isOn {
            notSampledCache.insert(trace)
            store.remove(index)
        } else {
            store.note(index, isSampled ? State.sampled : State.notSampled, at: eventLoop.now)
        }
    }

    /// Holds `max_bytes`: the traces that came first are decided with what is there.
    func shrink(_ now: NIODeadline) {
        guard config.bytesMax > 0 else { return }
        while waitingBytes > config.bytesMax, let ticket = waiting.popFirst() {
            guard isOpen(ticket.index, ticket.generation) else { continue }
            metrics.decidedEarly.add(1)
            decide(ticket.index, now)
            emit(all: true)
        }
    }

    /// What the store keeps but for the records of traces that were decided, which no early decision would make fewer.
    private var waitingBytes: Int { store.bytes - (store.count - undecided) * TraceStore.recordBytes }

    /// Ends all waits at a stop.
    func finishTraces() {
        let now = eventLoop.now
        while let ticket = waiting.popFirst() {
            guard isOpen(ticket.index, ticket.generation) else { continue }
            if config.dropsPendingAtStop {
                let chain = store.takeChain(ticket.index)
                metrics.evicted.add(chain.spans)
                store.free(chain)
                store.remove(ticket.index)
                undecided -= 1
            } else {
                decide(ticket.index, now)
                emit(all: false)
            }
        }
        emit(all: true)
        policies.showTimes()
        show()
    }
}
