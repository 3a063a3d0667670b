// Structured metadata: pairs of name and value, written as fields of an entry and counted as Loki counts them.

internal import OTLP

/// What of an entry's structured metadata Loki still takes.
struct MetadataBudget {
    private(set) var pairs: Int
    private(set) var bytes: Int
    private(set) var changes = LokiLimits.Changes()

    init(_ limits: LokiLimits) {
        pairs = limits.metadataPairs
        bytes = limits.metadataBytes
    }

    /// Takes a pair whose name and value have so many bytes; false, counted, when it fits no more.
    mutating func take(_ size: Int) -> Bool {
        guard pairs > 0 else {
            changes.add(.metadataCount)
            return false
        }
        guard size <= bytes else {
            changes.add(.metadataSize)
            return false
        }
        pairs -= 1
        bytes -= size
        return true
    }

    /// Counts pairs that are too long by themselves.
    mutating func refuse(_ count: Int) { changes.add(pairs > 0 ? .metadataSize : .metadataCount, count) }

    /// Counts pairs that nobody has looked at.
    mutating func leaveOut(_ count: Int) { changes.add(.metadataCount, count) }

    /// Takes pairs that fit.
    mutating func take(_ count: MetadataCount) {
        precondition(count.pairs <= pairs && count.bytes <= bytes, "pairs that do not fit")
        pairs -= count.pairs
        bytes -= count.bytes
    }
}

extension ByteDraft {
    /// The tag of a pair in an entry.
    static var pairTag: UInt8 { 0x1A }

    /// Appends a pair whose name is written as its field already.
    @inline(__always)
    mutating func appendPair(_ nameField: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        unsafe appendMessage(Self.pairTag, nameField, second: value)
    }

    /// Appends a pair.
    @inline(__always)
    mutating func appendPair(name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let size =
            2 &+ Self.varintBytes(name.count) &+ name.count &+ Self.varintBytes(value.count) &+ value.count
        append(Self.pairTag)
        appendLength(size)
        unsafe appendField(0x0A, name)
        unsafe appendField(0x12, value)
    }

    /// Appends a pair.
    mutating func appendPair(_ pair: Labels.Pair) {
        unsafe pair.name.withUnsafeBytes { name in
            unsafe pair.value.withUnsafeBytes { value in unsafe appendPair(name: name, value) }
        }
    }

    /// Appends a pair if it fits.
    mutating func appendPair(_ pair: Labels.Pair, _ budget: inout MetadataBudget) {
        guard budget.take(pair.name.count + pair.value.count) else { return }
        appendPair(pair)
    }

    /// Appends those of already written pairs that fit and whose names are not among `without`.
    mutating func appendPairs(
        of written: UnsafeRawBufferPointer, without: [[UInt8]], _ budget: inout MetadataBudget
    ) {
        for field in unsafe WireBytes(written).fields {
            var name = WireBytes.none
            var value = WireBytes.none
            for part in field.bytes.fields {
                if part.number == 1 { name = part.bytes } else { value = part.bytes }
            }
            if !without.isEmpty, without.contains(where: { unsafe name.unsafeBytes.elementsEqual($0) }) {
                continue
            }
            guard budget.take(name.count + value.count) else { continue }
            unsafe appendPair(name: name.unsafeBytes, value.unsafeBytes)
        }
    }

    /// Appends an attribute as pairs that fit: one, or one for each value of nested maps, named by the way there.
    mutating func appendPairs(_ attribute: Attribute, _ budget: inout MetadataBudget) {
        var leaves = Leaves(bytesMax: budget.bytes)
        leaves.add(attribute)
        budget.refuse(leaves.tooLong)
        for leaf in leaves.pairs { appendPair(leaf, &budget) }
    }
}

/// The values in an attribute: one, or those of nested maps, under names joined by underscores.
struct Leaves {
    /// Deeper maps are left out. What a receiver let in is never deeper.
    private static let depthMax = 64

    /// What was found.
    private(set) var pairs: [Labels.Pair] = []
    /// How many values were left out because their names or values alone are longer than anybody takes.
    private(set) var tooLong = 0
    private let bytesMax: Int
    private var bytes = 0

    /// - Parameter bytesMax: when names and values take more bytes than that, the others are left out.
    init(bytesMax: Int) { self.bytesMax = bytesMax }

    mutating func add(_ attribute: Attribute) { add(attribute, prefix: nil, depth: 0) }

    private mutating func add(_ attribute: Attribute, prefix: [UInt8]?, depth: Int) {
        // Nested names repeat their prefix, so that what is not worth writing must not be built either.
        guard (prefix?.count ?? 0) + attribute.key.count <= bytesMax + 1, bytes <= bytesMax,
            depth < Self.depthMax
        else {
            tooLong += Self.leafCount(attribute.value, depth: depth)
            return
        }
        var draft = ByteDraft(capacity: 64)
        if let prefix {
            draft.append(prefix)
            draft.append(UInt8(ascii: "_"))
        }
        draft.append(attribute.key)
        let name = labelName(draft.array)
        if case .keyValueList(let list) = attribute.value {
            for field in list.fields where field.number == Field.List.values {
                add(Attribute(field.bytes), prefix: name, depth: depth + 1)
            }
            return
        }
        if case .string(let text) = attribute.value, text.count > bytesMax {
            tooLong += 1
            return
        }
        var value = ByteDraft(capacity: 64)
        value.appendText(attribute.value)
        bytes += name.count + value.count
        pairs.append(Labels.Pair(name: name, value: value.array))
    }

    private static func leafCount(_ value: AttributeValue, depth: Int) -> Int {
        guard case .keyValueList(let list) = value, depth < depthMax else { return 1 }
        var count = 0
        for field in list.fields where field.number == Field.List.values {
            count += leafCount(Attribute(field.bytes).value, depth: depth + 1)
        }
        return count
    }
}
