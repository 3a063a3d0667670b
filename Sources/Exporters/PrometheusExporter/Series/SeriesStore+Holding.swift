internal import OTLP

// Who refers to whom, and what is removed when nobody does any more.

extension SeriesStore {
    // MARK: - References

    /// One more reference to a descriptor; the first makes the store know it.
    func use(_ descriptor: Descriptor) {
        if descriptor.references == 0 {
            descriptor.index = descriptors.add(descriptor)
            descriptorTable.set(descriptor.key, descriptor.index)
            ownedBytes += 128
        }
        descriptor.references += 1
    }

    func releaseDescriptor(_ index: UInt32) {
        let descriptor = descriptors[index]
        descriptor.references -= 1
        guard descriptor.references == 0 else { return }
        descriptors.remove(index)
        descriptorTable.remove(descriptor.key)
        ownedBytes -= 128
    }

    /// One more reference to a context, as to a descriptor.
    func use(_ context: Context) {
        if context.references == 0 {
            context.index = contexts.add(context)
            contextTable.set(context.key, context.index)
            ownedBytes += Self.bytes(of: context)
            if let target = context.target { use(target) }
        }
        context.references += 1
    }

    func releaseContext(_ index: UInt32) {
        let context = contexts[index]
        context.references -= 1
        guard context.references == 0 else { return }
        contexts.remove(index)
        contextTable.remove(context.key)
        ownedBytes -= Self.bytes(of: context)
        if let target = context.target { release(target) }
    }

    private static func bytes(of context: Context) -> Int {
        let labels = context.labels + (context.target?.labels ?? [])
        return labels.reduce(context.text.count + 256) { $0 + $1.value.count + 64 }
    }

    // MARK: - Aliases

    /// Remembers another way in which a series is written.
    func addAlias(_ key: SeriesKey, of index: UInt32, _ context: Context, _ descriptor: Descriptor) {
        use(context)
        use(descriptor)
        aliases.set(key, index)
        var list = moreAliases[index] ?? []
        if list.count == Self.moreAliasesMax { forget(list.removeFirst()) }
        list.append(Alias(key: key, context: context.index, descriptor: descriptor.index))
        moreAliases[index] = list
        ownedBytes += MemoryLayout<Alias>.stride
    }

    private func forget(_ alias: Alias) {
        aliases.remove(alias.key)
        releaseContext(alias.context)
        releaseDescriptor(alias.descriptor)
        ownedBytes -= MemoryLayout<Alias>.stride
    }

    // MARK: - target_info

    /// One more resource of a job and instance. What the last one says about them is shown.
    private func use(_ target: TargetInfo) {
        var entry = targets[target.key] ?? Target(record: noIndex, labels: [], references: 0)
        entry.references += 1
        if entry.labels != target.labels {
            if entry.record != noIndex { remove(entry.record) }
            entry.labels = target.labels
            entry.record = makeTarget(target.labels) ?? noIndex
        }
        targets[target.key] = entry
    }

    private func release(_ target: TargetInfo) {
        guard var entry = targets[target.key] else { return }
        entry.references -= 1
        if entry.references > 0 {
            targets[target.key] = entry
            return
        }
        targets[target.key] = nil
        if entry.record != noIndex { remove(entry.record) }
    }

    private func makeTarget(_ labels: [Label]) -> UInt32? {
        guard slab.count < settings.limits.series,
            let name = settings.namer.metricName("target_info", unit: "", kind: .other)
        else { return nil }
        let family =
            families[name] ?? targetFamily
            ?? Family(name: name, type: .gauge, help: Array("Target metadata".utf8), unit: "", id: makeID())
        let key = finalKey(family, labels, [])
        guard family.type == .gauge, finals.find(key) == noIndex, let index = slab.take() else {
            notice(.typeConflict(metric: name, existing: family.type.rawValue, new: "target_info"))
            return nil
        }
        targetFamily = family
        slab[index].flags = [.isLive, .isPinned, .isInt, .hasValue]
        slab[index].number = 1
        slab[index].finalLow = key.low
        slab[index].finalHigh = key.high
        setLabels(labels, of: index, hasAllLabels: true)
        finals.set(key, index)
        family.records += 1
        append(index, to: family)
        return index
    }

    // MARK: - Removing

    /// Removes a record, and of what it referred to what nobody refers to any more.
    func remove(_ index: UInt32) {
        let record = slab[index]
        let family = family(of: record)
        unchain(index, record, family)
        free(index)
        slab.giveBack(index)
        family.records -= 1
        if family.records == 0 {
            families.remove(family)
            ownedBytes -= family.bytes
        }
        guard record.descriptor != noIndex else { return }
        aliases.remove(record.firstAlias)
        for alias in moreAliases.removeValue(forKey: index) ?? [] { forget(alias) }
        releaseDescriptor(record.descriptor)
        releaseContext(record.context)
    }

    /// Takes a record out of its chain and its family's list; the next source takes the place of a primary.
    private func unchain(_ index: UInt32, _ record: SeriesRecord, _ family: Family) {
        if record.flags.contains(.isSecondary) { return removeSource(record) }
        var successor = record.nextInFamily
        var successorOfPrevious = record.nextInFamily
        var successorOfNext = record.previousInFamily
        if record.nextSource == noIndex {
            finals.remove(record.finalKey)
        } else {
            successor = record.nextSource
            (successorOfPrevious, successorOfNext) = (successor, successor)
            promote(successor, after: index)
            slab[successor].previousInFamily = record.previousInFamily
            slab[successor].nextInFamily = record.nextInFamily
        }
        if record.previousInFamily == noIndex {
            family.first = successorOfPrevious
        } else {
            slab[record.previousInFamily].nextInFamily = successorOfPrevious
        }
        if record.nextInFamily == noIndex {
            family.last = successorOfNext
        } else {
            slab[record.nextInFamily].previousInFamily = successorOfNext
        }
        for cursor in cursors where cursor.next == index { cursor.next = successor }
    }

    /// Gives back what is counted of a record's memory; the slab frees it.
    private func free(_ index: UInt32) {
        ownedBytes -= slab[memory: index].labels.bytes + slab[memory: index].words.bytes
        exemplarBytes -= slab[memory: index].exemplarBytes
        if slab[index].bounds != noIndex { bounds.release(slab[index].bounds) }
    }

    /// Removes expired series among the next `count` records.
    ///
    /// - Returns: whether the last record was reached; the next call begins anew.
    func sweep(_ count: Int, now: UInt32) -> Bool {
        let end = min(slab.end, sweepPosition &+ UInt32(clamping: count))
        while sweepPosition < end {
            let index = sweepPosition
            sweepPosition += 1
            if slab[index].flags.contains(.isLive), isExpired(slab[index], now: now) { remove(index) }
        }
        guard sweepPosition >= slab.end else { return false }
        sweepPosition = 0
        return true
    }
}
