// The general way from a record to an entry: every mapping, hint and limit. Allocates; for what the quick way leaves.

internal import OTLP

extension PushEncoder {
    /// Writes an entry.
    mutating func encodeGenerally(
        _ record: WireBytes, _ context: ResourceContext, resource: WireBytes, scope: WireBytes
    ) -> Place {
        var parts = RecordParts(record, resourceHints: context.hints)
        let resourceLabels = parts.hints.resourceLabels.dropFirst(context.hints.resourceLabels.count)
        let tenant = tenant(of: parts, context, resource)
        var own: [Labels.Pair] = []
        if !resourceLabels.isEmpty {
            let values = AttributeList(resource, Field.Resource.attributes).values(resourceLabels)
            for (name, value) in zip(resourceLabels, values) { own.add(name, value) }
        }
        takeLabels(from: &parts, into: &own)
        changes.add(.labelCount, parts.hints.leftOut - context.hints.leftOut)
        changes.add(.metadataCount, parts.list.leftOut)
        let index: Int
        var moved: [Labels.Pair] = []
        if own.isEmpty {
            changes.add(context.labelChanges)
            index = stream(context.labelText, tenant: tenant)
        } else {
            let before = context.sizeBytes
            let ownStream = context.ownStream(own, settings.limits)
            contexts.grown(context, from: before)
            moved = ownStream.moved
            changes.add(ownStream.changes)
            index = stream(of: ownStream, tenant: tenant)
        }
        let start = arena.count
        let entry = arena.beginMessage(0x12)
        addLine(parts, context, resource: resource, scope: scope, without: resourceLabels)
        if settings.mapping == .native { addMetadata(parts, moved, without: resourceLabels) }
        let time = parts.own.entryTime(now: now)
        arena.appendTime(time)
        arena.endMessage(entry)
        return Place(
            stream: UInt32(index), start: UInt32(start), count: UInt32(arena.count - start), time: time)
    }

    // MARK: - Tenants

    /// The tenant that hints ask for, else that of the client; empty for that of the configuration.
    private mutating func tenant(
        of parts: RecordParts, _ context: ResourceContext, _ resource: WireBytes
    ) -> [UInt8] {
        if let tenant = context.tenant { return tenant }
        guard settings.tenantFromHints,
            let name = context.hints.tenantAttribute ?? parts.hints.tenantAttribute
        else {
            return sliceTenant
        }
        let attributes = AttributeList(resource, Field.Resource.attributes)
        guard let value = attributes.value(name) ?? parts.value(name) else { return sliceTenant }
        let tenant = ResourceContext.text(value)
        guard isTenant(tenant) else {
            changes.add(.tenant)
            return sliceTenant
        }
        return tenant
    }

    // MARK: - Labels

    /// Makes labels of those of the record's attributes that are to be ones, and takes them out of the others.
    private func takeLabels(from parts: inout RecordParts, into own: inout [Labels.Pair]) {
        let names = parts.hints.attributeLabels
        for (name, value) in zip(names, parts.list.values(names)) { own.add(name, value) }
        parts.remove(named: names)
        switch settings.mapping {
        case .legacy:
            guard settings.defaultLabels.level, parts.hasLevel else { return }
            let level = parts.value("level").map { ResourceContext.text($0) } ?? parts.level
            own.append(Labels.Pair(name: Array("level".utf8), value: level))
            parts.remove { AttributeList.isNamed($0, "level") }
        case .native:
            parts.remove { attribute in
                switch settings.logRules.action(for: attribute.key.text) {
                case .structuredMetadata: return false
                case .drop: return true
                case .indexLabel:
                    var leaves = Leaves(bytesMax: settings.limits.metadataBytes)
                    leaves.add(attribute)
                    guard leaves.tooLong == 0 else { return false }
                    own += leaves.pairs
                    return true
                }
            }
            if settings.severityTextAsLabel, parts.own.severityText.count > 0 {
                own.append(
                    Labels.Pair(name: Array("severity_text".utf8), value: parts.own.severityText.array))
            }
        }
    }

    // MARK: - Line

    private mutating func addLine(
        _ parts: RecordParts, _ context: ResourceContext, resource: WireBytes, scope: WireBytes,
        without resourceLabels: ArraySlice<String>
    ) {
        scratch.truncate(to: 0)
        let standard = settings.mapping == .legacy ? Hints.Format.json : .raw
        let format = parts.hints.format ?? standard
        if format == .raw {
            scratch.appendText(parts.body)
        } else {
            let promoted = context.hints.resourceLabels + resourceLabels
            var attributes = AttributeList(resource, Field.Resource.attributes)
            attributes.remove { Hints.isHint($0.key.text) }
            attributes.remove(named: promoted)
            let line = FormattedLine(parts: parts, resource: attributes.all, scope: scope)
            if format == .json { line.writeJSON(to: &scratch) } else { line.writeLogfmt(to: &scratch) }
        }
        if scratch.count > settings.limits.lineBytes {
            changes.add(.lineSize)
            scratch.truncateText(to: settings.limits.lineBytes)
        }
        if scratch.count > 0 { unsafe arena.appendField(0x12, scratch.unsafeBytes) }
    }

    // MARK: - Metadata

    /// Adds the metadata that fits: the record's own fields, its attributes, labels that could not be ones, scope and
    /// resource.
    private mutating func addMetadata(
        _ parts: RecordParts, _ moved: [Labels.Pair], without resourceLabels: ArraySlice<String>
    ) {
        var budget = MetadataBudget(settings.limits)
        let start = arena.count
        var count = MetadataCount()
        addOwnFields(parts.own, &count)
        if count.pairs > budget.pairs || count.bytes > budget.bytes {
            let written = unsafe Array(arena.unsafeBytes[start...])
            arena.truncate(to: start)
            unsafe written.withUnsafeBytes { unsafe arena.appendPairs(of: $0, without: [], &budget) }
        } else {
            budget.take(count)
        }
        for attribute in parts.attributes { arena.appendPairs(attribute, &budget) }
        for pair in moved { arena.appendPair(pair, &budget) }
        let names = resourceLabels.map { labelName(Array($0.utf8)) }
        // What is nearer to the record has the first claim on the room, and the last word.
        scratch.truncate(to: 0)
        unsafe scratch.appendPairs(
            of: UnsafeRawBufferPointer(rebasing: tail.unsafeBytes[tailResource...]), without: [], &budget)
        unsafe arena.appendPairs(
            of: UnsafeRawBufferPointer(rebasing: tail.unsafeBytes[..<tailResource]), without: names, &budget)
        unsafe arena.append(scratch.unsafeBytes)
        changes.add(budget.changes)
    }
}

extension [Labels.Pair] {
    /// Adds a label of an attribute that a hint names; nothing when there is none of that name.
    fileprivate mutating func add(_ attribute: String, _ value: AttributeValue?) {
        guard let value else { return }
        append(Element(name: labelName([UInt8](attribute.utf8)), value: ResourceContext.text(value)))
    }
}

/// Whether Loki takes a text as the name of a tenant.
func isTenant(_ name: [UInt8]) -> Bool {
    guard (1...150).contains(name.count), name != Array(".".utf8), name != Array("..".utf8) else {
        return false
    }
    let others = "!-_.*'()".utf8
    return name.allSatisfy { byte in
        (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || others.contains(byte)
    }
}

extension ByteDraft {
    /// Cuts UTF-8 text to at most so many bytes, between two characters.
    mutating func truncateText(to bytesMax: Int) {
        guard count > bytesMax else { return }
        var end = bytesMax
        while end > 0, unsafe unsafeBytes[end] & 0xC0 == 0x80 { end -= 1 }
        truncate(to: end)
    }
}
