internal import OTLP

// What happens when a metric or a series is seen for the first time.

/// Why a metric is not taken at all.
struct MetricRefused: Error {
    let reason: DropReason
}

extension SeriesStore {
    /// Of a metric's name, which stands on every line of a page: 20 000 series of names of 100 KB took 10 s and pages of a gigabyte.
    private static let nameBytesMax = 4 << 10
    private static let identityNames = ["job", "instance"]

    // MARK: - Metrics

    /// What a metric becomes; the store knows it from its first series on.
    func describe(
        _ head: MetricHead, isUnknown: Bool, key: SeriesKey, nameHash: WireHash
    ) -> Result<Descriptor, MetricRefused> {
        let name = head.name.text
        guard head.name.count <= Self.nameBytesMax else {
            notice(.invalidName(metric: name))
            return .failure(MetricRefused(reason: .invalidName))
        }
        let type: FamilyType
        let kind: Descriptor.Kind
        var named = MetricNamer.Kind.other
        let isDelta = head.temporality == 1
        switch head.kind {
        case Field.Metric.gauge:
            (type, kind, named) = (isUnknown ? .unknown : .gauge, .number, .gauge)
        case Field.Metric.sum:
            (type, kind) = (head.isMonotonic ? .counter : .gauge, .number)
            if head.isMonotonic { named = .counter }
        case Field.Metric.histogram: (type, kind) = (.histogram, .histogram)
        case Field.Metric.exponentialHistogram: (type, kind) = (.histogram, .exponential)
        case Field.Metric.summary: (type, kind) = (.summary, .summary)
        default: return .failure(MetricRefused(reason: .malformed))
        }
        let hasTemporality = head.kind != Field.Metric.gauge && head.kind != Field.Metric.summary
        let isCumulative = head.temporality == 2
        if hasTemporality, !isCumulative, !isDelta || type == .gauge {
            notice(.temporality(metric: name))
            return .failure(MetricRefused(reason: .temporality))
        }
        let unit = head.unit.text
        guard let family = settings.namer.metricName(name, unit: unit, kind: named) else {
            notice(.invalidName(metric: name))
            return .failure(MetricRefused(reason: .invalidName))
        }
        let known = families[family]
        if let known, known.type != type {
            notice(.typeConflict(metric: family, existing: known.type.rawValue, new: type.rawValue))
            return .failure(MetricRefused(reason: .typeConflict))
        }
        let made =
            known
            ?? Family(
                name: family, type: type, help: head.description.array, unit: settings.namer.unitName(unit),
                id: makeID())
        return .success(
            Descriptor(
                id: makeID(), key: key, family: made, kind: kind, isDelta: hasTemporality && isDelta,
                nameHash: nameHash))
    }

    // MARK: - Series

    /// Finds the series of a point by its labels, or makes it.
    ///
    /// - Parameters:
    ///   - attributes: number of the field that holds the point's attributes.
    ///   - makes: whether a series that is not there is made.
    /// - Returns: nil when there is none and none may be made; then, if it was to be made, the point was
    ///   counted.
    func resolve(
        _ point: MetricPoint, _ attributes: UInt32, _ subject: inout Subject, makes: Bool = true
    ) -> UInt32? {
        let descriptor = subject.descriptor
        let family = descriptor.family
        guard hasContext(&subject.scope), !Self.hasTooMany(point.whole, attributes) else {
            guard makes else { return nil }
            count(.attributes)
            notice(.attributes(metric: family.name))
            return nil
        }
        let context = subject.scope.context!
        let pairs = LabelMaker.attributes(point.whole, attributes)
        var source = hasher.hash(descriptor.nameHash.low, from: context.sourceHash)
        var own: [Label] = []
        own.reserveCapacity(pairs.count)
        let isDistribution = family.type == .histogram || family.type == .summary
        for (key, value) in pairs {
            source = hash(value, from: hash(key, from: source))
            if context.convertedKeys.contains(key) { continue }
            guard var label = labels.label(key, value, isDistribution: isDistribution) else { continue }
            // Who sends keeps these names: series join with `target_info` by them.
            if Self.identityNames.contains(label.name),
                context.labels.contains(where: { $0.name == label.name })
            {
                label.name = "exported_" + label.name
            }
            own.append(label)
        }
        own = LabelMaker.joined(own)
        let isClash = Self.haveCommonName(own, context.labels)
        if isClash { own = LabelMaker.joined(own + context.labels) }
        let finalKey = finalKey(family, own, isClash ? [] : context.labels)
        let primary = finals.find(finalKey)
        let index = findSource(source.low, finalKey, primary: primary)
        let key = SeriesKey(point.hash)
        if index != noIndex {
            // A histogram of the other sort would not understand what is there.
            guard descriptors[slab[index].descriptor].kind == descriptor.kind else {
                guard makes else { return nil }
                count(.typeConflict)
                notice(
                    .typeConflict(
                        metric: family.name, existing: "histogram of another sort", new: "histogram"))
                return nil
            }
            if makes { addAlias(key, of: index, context, descriptor) }
            return index
        }
        guard makes else { return nil }
        guard primary == noIndex || hasRoomForSource(of: primary) else {
            dropOverLimit(.sourceLimit, family)
            return nil
        }
        guard let made = make(descriptor, context, own, hasAllLabels: isClash) else { return nil }
        slab[made].sourceHash = source.low
        setAlias(key, of: made)
        slab[made].finalLow = finalKey.low
        slab[made].finalHigh = finalKey.high
        if primary == noIndex {
            finals.set(finalKey, made)
            append(made, to: family)
        } else {
            addSource(made, to: primary)
            events.merged += 1
            notice(.merged(metric: family.name))
        }
        return made
    }

    private func setAlias(_ key: SeriesKey, of index: UInt32) {
        slab[index].aliasLow = key.low
        slab[index].aliasHigh = key.high
        aliases.set(key, index)
    }

    /// A record for a new series, in no list yet; nil, and the point counted, when it is one too many.
    private func make(
        _ descriptor: Descriptor, _ context: Context, _ own: [Label], hasAllLabels: Bool
    ) -> UInt32? {
        let family = descriptor.family
        let limits = settings.limits
        guard family.records < limits.seriesPerMetric else {
            dropOverLimit(.metricLimit, family)
            return nil
        }
        let lack = lackOfRoom(for: 1)
        guard lack == nil, slab.count < limits.series, let index = slab.take() else {
            dropOverLimit(lack ?? .seriesLimit, family)
            return nil
        }
        use(descriptor)
        use(context)
        if let known = families[family.name], known !== family {
            // The context's target_info has just taken the name.
            releaseContext(context.index)
            releaseDescriptor(descriptor.index)
            slab.giveBack(index)
            count(.typeConflict)
            return nil
        }
        slab[index].descriptor = descriptor.index
        slab[index].context = context.index
        setLabels(own, of: index, hasAllLabels: hasAllLabels)
        family.records += 1
        return index
    }

    func setLabels(_ labels: [Label], of index: UInt32, hasAllLabels: Bool) {
        let (text, hasQuotedNames) = LabelMaker.text(labels)
        ownedBytes -= slab[memory: index].labels.bytes
        slab[memory: index].labels = OwnedRun(text)
        ownedBytes += slab[memory: index].labels.bytes
        if hasAllLabels { slab[index].flags.insert(.hasAllLabels) }
        if hasQuotedNames { slab[index].flags.insert(.hasQuotedNames) }
    }

    /// Puts a record at the end of its family; a family without records becomes known.
    func append(_ index: UInt32, to family: Family) {
        if family.first == noIndex {
            families.insert(family)
            ownedBytes += family.bytes
        }
        slab[index].previousInFamily = family.last
        slab[index].nextInFamily = noIndex
        if family.last == noIndex { family.first = index } else { slab[family.last].nextInFamily = index }
        family.last = index
    }

    // MARK: - Hashes

    private static func haveCommonName(_ left: [Label], _ right: [Label]) -> Bool {
        var other = 0
        for label in left {
            while other < right.count, right[other].name.utf8Precedes(label.name) { other += 1 }
            if other < right.count, right[other].name == label.name { return true }
        }
        return false
    }

    /// Of a name and its labels, from two lists that are sorted and have no name in common.
    func finalKey(_ family: Family, _ left: [Label], _ right: [Label]) -> SeriesKey {
        var hash = hasher.hash(family.id, from: WireHash(low: 5, high: 0))
        var other = 0
        for label in left {
            while other < right.count, right[other].name.utf8Precedes(label.name) {
                hash = self.hash(right[other], from: hash)
                other += 1
            }
            hash = self.hash(label, from: hash)
        }
        for label in right[other...] { hash = self.hash(label, from: hash) }
        return SeriesKey(hash)
    }

    func hash(_ label: Label, from: WireHash) -> WireHash {
        var name = label.name
        // SAFETY: the name's bytes live for the call.
        let hash = name.withUTF8 { unsafe hasher.hash(WireBytes(UnsafeRawBufferPointer($0)), from: from) }
        return self.hash(label.value, from: hash)
    }

    func hash(_ bytes: [UInt8], from: WireHash) -> WireHash {
        // SAFETY: the bytes live for the call.
        unsafe bytes.withUnsafeBytes { unsafe hasher.hash(WireBytes($0), from: from) }
    }
}
