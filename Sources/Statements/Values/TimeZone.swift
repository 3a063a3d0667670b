internal import Glibc

/// A zone of the system's database: which offset holds when. Immutable.
package struct TimeZone: Sendable, Equatable {
    /// Why there is none of a name, in the words of the Collector.
    package struct Unknown: Error, CustomStringConvertible {
        package let description: String
    }

    /// The moments at which another offset begins, seconds since 1970, in order.
    private let begins: [Int64]
    /// Seconds east of UTC: before the first moment, and from each on.
    private let offsets: [Int64]
    /// The abbreviations that go with the offsets.
    private let abbreviations: [Abbreviation]
    /// The offsets of its abbreviations.
    private let named: [String: Int64]

    package static let utc = TimeZone(
        begins: [], offsets: [0], abbreviations: [Abbreviation("UTC")], named: ["UTC": 0, "GMT": 0])

    private init(
        begins: [Int64], offsets: [Int64], abbreviations: [Abbreviation], named: [String: Int64]
    ) {
        (self.begins, self.offsets, self.abbreviations, self.named) = (begins, offsets, abbreviations, named)
    }

    /// - Parameters:
    ///   - name: such as `Europe/Berlin`; nothing, `UTC` and `Local` are UTC.
    ///   - folder: where the database is.
    /// - Throws: there is no such zone.
    package init(_ name: String, folder: String = "/usr/share/zoneinfo/") throws(Unknown) {
        switch name {
        case "", "UTC", "Etc/UTC", "GMT", "Etc/GMT", "Local": self = .utc
        default:
            guard !name.hasPrefix("/"), !name.contains(".."), !name.contains("\\"),
                let bytes = Self.file(folder + name), let read = Self.read(bytes)
            else { throw Unknown(description: "unknown time zone \(name)") }
            self = read
        }
    }

    /// Seconds east of UTC at a moment.
    package func offset(at seconds: Int64) -> Int64 { offsets[period(seconds)] }

    /// What the zone is called at a moment.
    func abbreviation(at seconds: Int64) -> Abbreviation { abbreviations[period(seconds)] }

    /// The offset of a moment told in the zone's own time. Of one that comes twice, or never, it is as Go has it.
    package func offset(atLocal seconds: Int64) -> Int64 {
        let guessed = period(seconds)
        let offset = offsets[guessed]
        guard offset != 0 else { return 0 }
        let moment = seconds - offset
        return period(moment) == guessed ? offset : offsets[period(moment)]
    }

    /// The offset of an abbreviation such as `CEST`; of one with several that of its first.
    package func offset(named name: String) -> Int64? { named[name] }

    private func period(_ seconds: Int64) -> Int {
        var (low, high) = (0, begins.count)
        while low < high {
            let middle = (low + high) / 2
            if begins[middle] <= seconds { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: - The database

    private static let fileBytesMax = 1 << 20

    private static func file(_ path: String) -> [UInt8]? {
        // SAFETY: the path is a C string for the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 1 << 14)
        while bytes.count < fileBytesMax {
            // SAFETY: the kernel writes at most the room's count.
            let count = unsafe room.withUnsafeMutableBytes {
                unsafe Glibc.read(file, $0.baseAddress, $0.count)
            }
            if count == 0 { return bytes }
            guard count > 0 else { return nil }
            bytes += room[..<count]
        }
        return nil
    }

    /// A file of RFC 8536, from version 2 on, which has times of 64 bits behind those of 32. Beyond the last moment that it
    /// lists (2037) the last offset holds.
    private static func read(_ bytes: [UInt8]) -> TimeZone? {
        guard let old = Header(bytes, at: 0), old.version >= UInt8(ascii: "2") else { return nil }
        let second = Header.size + old.bytes(timeSize: 4)
        guard let header = Header(bytes, at: second) else { return nil }
        let times = second + Header.size
        let kinds = times + header.times * 8
        let types = kinds + header.times
        guard header.types > 0, types + header.types * 6 <= bytes.count else { return nil }
        func offset(_ kind: Int) -> Int64? {
            guard kind < header.types else { return nil }
            return Int64(Int32(truncatingIfNeeded: integer(bytes, types + kind * 6, 4)))
        }
        let names = types + header.types * 6
        guard names + header.nameBytes <= bytes.count else { return nil }
        var named: [String: Int64] = [:]
        var abbreviationOfKind: [Abbreviation] = []
        for kind in 0..<header.types {
            let start = Int(bytes[types + kind * 6 + 5])
            guard start < header.nameBytes, let offset = offset(kind) else { return nil }
            let name = bytes[names + start..<names + header.nameBytes].prefix { $0 != 0 }
            let text = String(decoding: name, as: UTF8.self)
            if named[text] == nil { named[text] = offset }
            abbreviationOfKind.append(Abbreviation(text))
        }
        guard var offsets = offset(0).map({ [$0] }) else { return nil }
        var abbreviations = [abbreviationOfKind[0]]
        var begins: [Int64] = []
        for index in 0..<header.times {
            let kind = Int(bytes[kinds + index])
            guard let next = offset(kind) else { return nil }
            begins.append(integer(bytes, times + index * 8, 8))
            offsets.append(next)
            abbreviations.append(abbreviationOfKind[kind])
        }
        guard zip(begins, begins.dropFirst()).allSatisfy({ $0 < $1 }) else { return nil }
        return TimeZone(begins: begins, offsets: offsets, abbreviations: abbreviations, named: named)
    }

    private static func integer(_ bytes: [UInt8], _ start: Int, _ count: Int) -> Int64 {
        Int64(bitPattern: bytes[start..<start + count].reduce(0) { $0 << 8 | UInt64($1) })
    }

    private struct Header {
        static let size = 44
        let version: UInt8
        /// UTC indicators, standard indicators, leap seconds, times, types, bytes of names.
        private let counts: [Int]

        var times: Int { counts[3] }
        var types: Int { counts[4] }
        var nameBytes: Int { counts[5] }

        init?(_ bytes: [UInt8], at start: Int) {
            guard start + Self.size <= bytes.count, bytes[start..<start + 4].elementsEqual("TZif".utf8) else {
                return nil
            }
            version = bytes[start + 4]
            counts = (0..<6).map { Int(TimeZone.integer(bytes, start + 20 + $0 * 4, 4)) }
            guard counts.allSatisfy({ $0 <= bytes.count }) else { return nil }
        }

        /// Of the block behind it.
        func bytes(timeSize: Int) -> Int {
            times * (timeSize + 1) + types * 6 + counts[5] + counts[2] * (timeSize + 4) + counts[1]
                + counts[0]
        }
    }
}
