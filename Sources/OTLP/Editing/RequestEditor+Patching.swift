/// Changes of a message that has no row: most items get one or two, and bytes are searched and copied several times faster than
/// they are indexed. Everything that is not here makes a row, which takes the patches over.
extension RequestEditor {
    /// A field of a message: as it came, or what came of it.
    struct Place: BitwiseCopyable {
        var message: Int32
        var position: Int32
        var entry: Entry

        static var nowhere: Place { Place(message: -1, position: -1, entry: Entry(number: 0, kind: .bytes)) }
    }

    /// Patches of a message without a row.
    private static var patchesMax: Int { 8 }

    // MARK: - Finding

    /// Says that another attribute may be the first with its key, or another message may have the number.
    @inline(__always)
    func forgetFound() { lastFound[0].message = -1 }

    /// Says where the first attribute with a key is, in a message with a row.
    func remember(found position: Int, in message: MessageID) {
        lastFound[0].message = message.index
        lastFound[0].position = Int32(truncatingIfNeeded: position)
    }

    /// The position that was remembered for a message.
    @inline(__always)
    func found(in message: MessageID) -> Int? {
        lastFound[0].message == message.index ? Int(lastFound[0].position) : nil
    }

    /// Whether a message has no row: what is found in it are places.
    @inline(__always)
    func hasPlaces(_ message: MessageID) -> Bool { messages[Int(message.index)].first < 0 }

    /// The field at a position, when it was the last that was found and the message has no row.
    @inline(__always)
    func place(_ message: MessageID, at position: Int) -> Place? {
        guard found(in: message) == position, hasPlaces(message) else { return nil }
        return lastFound[0]
    }

    /// The first attribute with a key in a message without a row, or the next one behind a place.
    func place(of key: WireBytes, in table: AttributeTable, behind last: Place? = nil) -> Place? {
        let index = Int(table.message.index)
        let message = messages[index]
        let found = lastFound[0]
        if last == nil, found.message == table.message.index, found.entry.number == table.number,
            KeyValueParts.isKey(key, of: found.entry.content)
        {
            return found
        }
        var (offset, position) = (0, 0)
        if let last { (offset, position) = (Int(last.entry.end), Int(last.position) + 1) }
        while true {
            let search = message.source.search(key, table.number, from: offset, position: position)
            guard search.end >= 0 else {
                if message.sourceFields < 0 {
                    messages[index].sourceFields = Int32(truncatingIfNeeded: search.position)
                }
                break
            }
            (offset, position) = (search.end, search.position + 1)
            var place = Place(
                message: table.message.index, position: Int32(truncatingIfNeeded: search.position),
                entry: Entry(
                    number: table.number, kind: .bytes,
                    content: message.source.part(search.contentStart..<search.end),
                    start: UInt32(truncatingIfNeeded: search.start),
                    end: UInt32(truncatingIfNeeded: search.end)))
            if let patch = patch(message, at: place.position) { place = patch }
            guard place.entry.number != 0 else { continue }
            lastFound[0] = place
            return place
        }
        guard message.firstPatch >= 0 else { return nil }
        for patch in Int(message.firstPatch)..<Int(message.firstPatch + message.patchCount) {
            let place = patches[patch]
            guard place.position >= messages[index].sourceFields, place.position > last?.position ?? -1,
                place.entry.number == table.number, KeyValueParts.isKey(key, of: place.entry.content)
            else { continue }
            lastFound[0] = place
            return place
        }
        return nil
    }

    /// The last field of a number in a message without a row.
    func lastPlace(of number: UInt32, in message: MessageID) -> Place? {
        let row = messages[Int(message.index)]
        var (found, position) = (Place.nowhere, Int32(0))
        for field in row.source.fields {
            if field.number == number {
                let place =
                    patch(row, at: position)
                    ?? Place(message: message.index, position: position, entry: Entry(field))
                if place.entry.number != 0 { found = place }
            }
            position += 1
        }
        messages[Int(message.index)].sourceFields = position
        if row.firstPatch >= 0 {
            for patch in Int(row.firstPatch)..<Int(row.firstPatch + row.patchCount)
            where patches[patch].position >= position && patches[patch].entry.number == number {
                found = patches[patch]
            }
        }
        return found.message >= 0 ? found : nil
    }

    /// What came of the field at a position.
    @inline(__always)
    private func patch(_ message: Message, at position: Int32) -> Place? {
        guard message.firstPatch >= 0 else { return nil }
        for index in Int(message.firstPatch)..<Int(message.firstPatch + message.patchCount)
        where patches[index].position == position {
            return patches[index]
        }
        return nil
    }

    // MARK: - Changing

    /// Replaces a field, or removes it (number 0). An attribute keeps its key.
    /// - Returns: false: make a row. There is no room for more patches, or another message was opened later.
    func patch(_ place: Place) -> Bool {
        let index = Int(place.message)
        var row = messages[index]
        if row.firstPatch < 0 {
            // Patches are given back in the order of the messages.
            guard index + 1 == messages.count else { return false }
            row.firstPatch = Int32(truncatingIfNeeded: patches.count)
            messages[index].firstPatch = row.firstPatch
            let bytes = patches.bytes
            patches.reserve(Self.patchesMax)
            if patches.bytes != bytes { holdLists() }
        }
        let end = Int(row.firstPatch + row.patchCount)
        var slot = end
        while slot > row.firstPatch, patches[slot - 1].position >= place.position { slot -= 1 }
        if slot == end || patches[slot].position != place.position {
            guard row.patchCount < Self.patchesMax else { return false }
            for later in stride(from: end, to: slot, by: -1) { patches[later] = patches[later - 1] }
            messages[index].patchCount = row.patchCount + 1
        }
        patches[slot] = place
        patches[slot].entry.isNew = true
        if place.entry.number != 0 {
            lastFound[0] = patches[slot]
        } else if found(in: MessageID(index: place.message)) == Int(place.position) {
            forgetFound()
        }
        if !row.isChanged { markChanged(MessageID(index: place.message)) }
        return true
    }

    /// Adds a field at the end of a message.
    /// - Returns: false: the message has a row, or there is no room for more patches.
    func appendPatch(_ message: MessageID, _ entry: Entry) -> Bool {
        let index = Int(message.index)
        guard messages[index].first < 0 else { return false }
        if messages[index].sourceFields < 0 {
            var count: Int32 = 0
            for _ in messages[index].source.fields { count += 1 }
            messages[index].sourceFields = count
        }
        let row = messages[index]
        var place = Place(message: message.index, position: row.sourceFields, entry: entry)
        if row.patchCount > 0 {
            let last = patches[Int(row.firstPatch + row.patchCount) - 1].position
            place.position = max(place.position, last + 1)
        }
        place.entry.start = UInt32(truncatingIfNeeded: row.source.count)
        place.entry.end = place.entry.start
        let found = lastFound[0]
        guard patch(place) else { return false }
        // What was found before is still the first with its key.
        lastFound[0] = found
        return true
    }

    /// Moves the patches of a message into its row, which was made just now.
    func applyPatches(_ message: MessageID) {
        let index = Int(message.index)
        let row = messages[index]
        for patch in Int(row.firstPatch)..<Int(row.firstPatch + row.patchCount) {
            let place = patches[patch]
            if place.position < row.count {
                entries[Int(row.first + place.position)] = place.entry
            } else {
                entries.append(place.entry)
                messages[index].count += 1
                messages[index].capacity += 1
            }
        }
        messages[index].firstPatch = -1
        messages[index].patchCount = 0
    }

    // MARK: - Writing

    /// Counts the bytes of a message without a row.
    func measurePatched(_ row: Message) -> Int {
        var total = row.source.count
        guard row.firstPatch >= 0 else { return total }
        for patch in Int(row.firstPatch)..<Int(row.firstPatch + row.patchCount) {
            let entry = patches[patch].entry
            total -= Int(entry.end - entry.start)
            if entry.number != 0 { total += entry.newCount }
        }
        return total
    }

    /// Writes a message without a row.
    func writePatched(_ row: Message, to writer: inout FieldWriter) {
        var copied = 0
        if row.firstPatch >= 0 {
            for patch in Int(row.firstPatch)..<Int(row.firstPatch + row.patchCount) {
                let entry = patches[patch].entry
                writer.copy(row.source, copied..<Int(entry.start))
                copied = Int(entry.end)
                if entry.number != 0 { writer.new(entry) }
            }
        }
        writer.copy(row.source, copied..<row.source.count)
    }
}

extension RequestEditor.Entry {
    /// Bytes of a new field.
    @inline(__always)
    var newCount: Int {
        if case .bytes = kind { return FieldWriter.count(number, content: content.count) }
        return FieldWriter.count(number, kind, bits)
    }
}

extension FieldWriter {
    /// A new field.
    @inline(__always)
    mutating func new(_ entry: RequestEditor.Entry) {
        guard case .bytes = entry.kind else { return number(entry.number, entry.kind, entry.bits) }
        begin(entry.number, content: entry.content.count)
        copy(entry.content, 0..<entry.content.count)
    }
}
