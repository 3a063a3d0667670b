/// The entries of a map of any size, put in one by one. Linear: what clients send decides how many there are.
struct MapBuilder {
    /// Fewer are searched one by one.
    private static let indexedMin = 16

    /// What an entry takes while the list grows, its place, and a few bytes of what it is written as; its key and value apart.
    static let bytesOfEntry = 3 * MemoryLayout<MapEntry>.stride + 96

    private(set) var entries: [MapEntry]
    /// Where keys are, once there are so many.
    private var places: [[UInt8]: Int] = [:]

    /// Begins with entries whose keys differ.
    init(_ entries: [MapEntry] = []) {
        self.entries = entries
    }

    private mutating func place(of key: Bytes) -> Int? {
        guard entries.count >= Self.indexedMin else { return entries.firstIndex { $0.key == key } }
        if places.isEmpty {
            // The first of equal keys counts, as in a search.
            for (place, entry) in entries.enumerated().reversed() { places[entry.key.array] = place }
        }
        return places[key.array]
    }

    /// Whether the key is there.
    mutating func contains(_ key: Bytes) -> Bool { place(of: key) != nil }

    /// The value of a key; nil when it is not there.
    mutating func value(of key: Bytes) -> Value? { place(of: key).map { entries[$0].value } }

    /// Sets the value of a key, at the end when it is new.
    mutating func put(_ key: Bytes, _ value: Value) {
        if let place = place(of: key) {
            entries[place].value = value
        } else {
            if !places.isEmpty { places[key.array] = entries.count }
            entries.append(MapEntry(key: key, value: value))
        }
    }

    mutating func put(_ key: String, _ value: Value) { put(Bytes(key), value) }
}
