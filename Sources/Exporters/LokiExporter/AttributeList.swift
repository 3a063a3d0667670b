internal import OTLP

/// The attributes of one message, as far as they are looked at by name.
///
/// Of a key that comes twice the last value counts, as for Loki. At most `countMax` are kept: bytes on the wire, of which
/// an attribute may take but two, become twenty times as many here.
struct AttributeList {
    static let countMax = 1 << 16
    /// Names times attributes that are compared one with the other; beyond, by a table.
    private static let comparisonsMax = 4096

    private(set) var all: [Attribute] = []
    /// Attributes that were left out.
    private(set) var leftOut = 0

    /// Reads the attributes of a message, which must outlive the list.
    init(_ message: WireBytes, _ number: UInt32) {
        for field in message.fields where field.number == number && field.isBytes {
            add(Attribute(field.bytes))
        }
        removeRepeated()
    }

    init() {}

    /// Adds an attribute at the end. Then `removeRepeated`.
    mutating func add(_ attribute: Attribute) {
        if all.count < Self.countMax { all.append(attribute) } else { leftOut += 1 }
    }

    /// Takes the attributes out that `isTaken` says.
    mutating func remove(where isTaken: (Attribute) -> Bool) { all.removeAll(where: isTaken) }

    /// Takes out those whose key comes again.
    mutating func removeRepeated() {
        guard all.count > 1 else { return }
        if all.count <= 32 {
            var index = 0
            while index < all.count {
                let key = all[index].key
                let isRepeated = all[(index + 1)...].contains {
                    unsafe isSame($0.key.unsafeBytes, key.unsafeBytes)
                }
                if isRepeated { all.remove(at: index) } else { index += 1 }
            }
            return
        }
        var seen: Set<[UInt8]> = []
        seen.reserveCapacity(all.count)
        var kept: [Attribute] = []
        for attribute in all.reversed() where seen.insert(attribute.key.array).inserted {
            kept.append(attribute)
        }
        if kept.count < all.count { all = kept.reversed() }
    }

    // MARK: - By name

    /// The value of a name; with dots also a way through nested maps.
    func value(_ name: String) -> AttributeValue? {
        find(Array(name.utf8)[...])
    }

    private func find(_ key: ArraySlice<UInt8>) -> AttributeValue? {
        if let found = all.last(where: { unsafe $0.key.unsafeBytes.elementsEqual(key) }) {
            return found.value
        }
        return Self.nested(key) { outer in
            all.last { unsafe $0.key.unsafeBytes.elementsEqual(outer) }?.value
        }
    }

    /// The value of `a.b` in the map that `a` is.
    private static func nested(
        _ key: ArraySlice<UInt8>, _ find: (ArraySlice<UInt8>) -> AttributeValue?
    ) -> AttributeValue? {
        guard let dot = key.firstIndex(of: UInt8(ascii: ".")),
            case .keyValueList(let inner) = find(key[..<dot])
        else { return nil }
        return AttributeList(inner, Field.List.values).find(key[(dot + 1)...])
    }

    /// The values of several names, in linear time.
    func values(_ names: some Collection<String>) -> [AttributeValue?] {
        guard names.count * all.count > Self.comparisonsMax else { return names.map { value($0) } }
        var wanted: Set<ArraySlice<UInt8>> = []
        for name in names {
            let key = Array(name.utf8)
            wanted.insert(key[...])
            wanted.insert(key.prefix { $0 != UInt8(ascii: ".") })
        }
        var found: [ArraySlice<UInt8>: AttributeValue] = [:]
        let longest = wanted.map(\.count).max() ?? 0
        for attribute in all where attribute.key.count <= longest {
            let key = attribute.key.array[...]
            if wanted.contains(key) { found[key] = attribute.value }
        }
        return names.map { name in
            let key = Array(name.utf8)[...]
            return found[key] ?? Self.nested(key) { found[$0] }
        }
    }

    /// Takes out the attributes with these names, in linear time.
    mutating func remove(named names: some Collection<String>) {
        guard !names.isEmpty else { return }
        guard names.count * all.count > Self.comparisonsMax else {
            return all.removeAll { attribute in names.contains { Self.isNamed(attribute, $0) } }
        }
        let keys = Set(names.map { Array($0.utf8) })
        let longest = keys.map(\.count).max() ?? 0
        all.removeAll { $0.key.count <= longest && keys.contains($0.key.array) }
    }

    /// Whether an attribute's key is this name.
    static func isNamed(_ attribute: Attribute, _ name: String) -> Bool {
        guard attribute.key.count == name.utf8.count else { return false }
        return unsafe attribute.key.unsafeBytes.elementsEqual(name.utf8)
    }
}
