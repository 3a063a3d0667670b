// The metadata that the records of a scope have in common.

internal import OTLP

extension PushEncoder {
    /// Makes the tail of a scope's records, unless it is that of the scope before.
    mutating func setTail(_ scope: WireBytes, _ context: ResourceContext) {
        guard settings.mapping == .native else { return }
        if tailContext === context, unsafe tailScope.withUnsafeBytes({ unsafe isSame($0, scope.unsafeBytes) })
        {
            return
        }
        tailContext = context
        tailScope = scope.array
        var budget = MetadataBudget(settings.limits)
        let pairs = scopePairs(scope, &budget)
        var resourceBudget = MetadataBudget(settings.limits)
        tail.truncate(to: 0)
        if pairs.isEmpty {
            tail.append(context.metadata)
        } else {
            // Of two pairs of one name Loki's queries see the last: what the scope says is nearer to the record.
            let names = pairs.map(\.name)
            unsafe context.metadata.withUnsafeBytes {
                unsafe tail.appendPairs(of: $0, without: names, &resourceBudget)
            }
        }
        tailResource = tail.count
        for pair in pairs { tail.appendPair(pair) }
        let limits = settings.limits
        let isAll = pairs.isEmpty
        tailPairs =
            limits.metadataPairs - budget.pairs
            + (isAll ? context.metadataPairs : limits.metadataPairs - resourceBudget.pairs)
        tailBytes =
            limits.metadataBytes - budget.bytes
            + (isAll ? context.metadataBytes : limits.metadataBytes - resourceBudget.bytes)
        tailChanges = budget.changes
        tailChanges.add(context.metadataChanges)
    }

    /// The metadata of a scope that fits: its attributes, then its own fields. None of a name that another one has.
    private mutating func scopePairs(_ scope: WireBytes, _ budget: inout MetadataBudget) -> [Labels.Pair] {
        var own: [Labels.Pair] = []
        func add(_ name: StaticString, _ value: [UInt8]) {
            guard !value.isEmpty, budget.take(name.utf8CodeUnitCount + value.count) else { return }
            own.append(Labels.Pair(name: Array("\(name)".utf8), value: value))
        }
        for field in scope.fields {
            switch field.number {
            case Field.Scope.name: add("scope_name", field.bytes.array)
            case Field.Scope.version: add("scope_version", field.bytes.array)
            case Field.Scope.droppedAttributesCount:
                let dropped = UInt32(truncatingIfNeeded: field.bits)
                if dropped != 0 { add("scope_dropped_attributes_count", Array("\(dropped)".utf8)) }
            default: break
            }
        }
        var taken: [[UInt8]: Int] = [:]
        for pair in own { taken[pair.name] = -1 }
        let attributes = AttributeList(scope, Field.Scope.attributes)
        budget.leaveOut(attributes.leftOut)
        var pairs: [Labels.Pair] = []
        // A label must be the same for a whole stream; a scope's attribute is metadata or nothing.
        for attribute in attributes.all where settings.scopeRules.action(for: attribute.key.text) != .drop {
            var leaves = Leaves(bytesMax: budget.bytes)
            leaves.add(attribute)
            budget.refuse(leaves.tooLong)
            for leaf in leaves.pairs {
                if let index = taken[leaf.name] {
                    if index >= 0, leaf.value.count <= pairs[index].value.count { pairs[index] = leaf }
                } else if budget.take(leaf.name.count + leaf.value.count) {
                    taken[leaf.name] = pairs.count
                    pairs.append(leaf)
                }
            }
        }
        return pairs + own
    }
}
