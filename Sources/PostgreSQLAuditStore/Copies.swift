package import AuditLog
internal import Glibc
internal import Hashing

extension PostgreSQLAuditStore {
    package var copiedColumns: (any CopiedColumns)? { Copies() }

    package var another: @Sendable () -> any AuditStore {
        { [conninfo] in PostgreSQLAuditStore(conninfo: conninfo) }
    }

    package func read(
        _ sequences: ClosedRange<UInt64>, _ page: inout RowPage, _ take: (RowPage) -> Void
    ) throws(AuditStoreError) {
        page.removeAll()
        var (isFirst, isReadable) = (true, true)
        // Both are bounded: otherwise all of audit_ids would be read.
        let range = "BETWEEN \(sequences.lowerBound) AND \(sequences.upperBound)"
        try unsafe opened().copy(
            """
            COPY (SELECT e.sequence, e.record_id, e.content_hash, e.recorded, e.entry, \(Copies.list)
            FROM audit_entries AS e LEFT JOIN audit_ids AS i ON i.sequence = e.sequence AND i.sequence \(range)
            WHERE e.sequence \(range) ORDER BY e.sequence) TO STDOUT (FORMAT binary)
            """
        ) { message in
            isReadable = unsafe isReadable && Copies.add(message, isFirst: isFirst, to: &page)
            isFirst = false
            if page.isFull {
                take(page)
                page.removeAll()
            }
        }
        guard isReadable else { throw damaged("audit_entries") }
        if !page.rows.isEmpty { take(page) }
        page.removeAll()
    }
}

/// Compares the columns that are searched with what the gateway makes of the entries, and `audit_ids` with the rows.
struct Copies: CopiedColumns {
    /// The columns whose copies are made of the entry, in the order of `RowCopy.entriesCommand`.
    private static let columns = [
        "created_at", "timestamp", "trace_id", "span_id", "event_name", "actor", "actor_type", "resource",
        "resource_type", "action", "outcome", "decision", "policy_version", "compliance_tags",
    ]

    /// What stands in a row of a page behind its entry: whether `audit_ids` has the row's id and content hash, and the columns.
    static let list =
        "(i.record_id = e.record_id AND i.content_hash = e.content_hash) IS TRUE, "
        + columns.map { "e.\"\($0)\"" }.joined(separator: ", ")

    /// Adds what one message of a COPY has: a row, behind the COPY's header in the first one, or its end.
    /// - Returns: false when it has another form.
    static func add(_ message: UnsafeRawBufferPointer, isFirst: Bool, to page: inout RowPage) -> Bool {
        // The header is a signature, flags and the length of what may follow them: nothing.
        var reader = unsafe FieldReader(message, from: isFirst ? CopyData.headerBytes : 0)
        guard !reader.isAtEnd, let count = reader.columns(), count >= 0 else { return reader.isAtEnd }
        guard count == 6 + columns.count, let sequence = reader.number(), let id = reader.id(),
            let hash = reader.hash(), let recorded = reader.number(), let entry = reader.field()
        else { return false }
        let copies = reader.position
        guard reader.skip(1 + columns.count), reader.isAtEnd else { return false }
        let start = unsafe page.append(message).lowerBound
        page.append(
            RowPage.Row(
                sequence: sequence, recordID: id, contentHash: hash, recorded: recorded,
                entry: start + entry.lowerBound..<start + entry.upperBound,
                copies: start + copies..<start + reader.position))
        return true
    }

    func agree(_ row: RowPage.Row, _ frame: EntryFrame, _ copies: UnsafeRawBufferPointer) -> Bool {
        var reader = unsafe FieldReader(copies, from: 0)
        guard frame.isPlain, reader.isTrue(), reader.time() == BinaryForm.time(row.recorded)
        else { return false }
        var time: UInt64 = 0
        if let text = unsafe frame.field(.timestamp) {
            guard 1...19 ~= text.count, let number = unsafe Self.number(text) else { return false }
            time = number
        }
        guard reader.time() == BinaryForm.time(time > 0 ? time : row.recorded),
            unsafe reader.isNext(digits: frame.field(.traceID), bytes: 16),
            unsafe reader.isNext(digits: frame.field(.spanID), bytes: 8),
            unsafe reader.isNext(frame.field(.eventName), isOptional: false),
            unsafe reader.isNext(frame.field(.actorID), isOptional: false),
            unsafe reader.isNext(frame.field(.actorType), isOptional: false),
            unsafe reader.isNext(frame.field(.targetID), isOptional: true),
            unsafe reader.isNext(frame.field(.targetType), isOptional: true),
            unsafe reader.isNext(frame.field(.action), isOptional: false),
            unsafe reader.isNext(frame.field(.outcome), isOptional: false),
            unsafe reader.isNext(frame.field(.decision), isOptional: true),
            unsafe reader.isNext(frame.field(.policyVersion), isOptional: true),
            unsafe reader.isNext(tags: frame.field(.complianceTags))
        else { return false }
        return reader.isAtEnd
    }

    private static func number(_ digits: UnsafeRawBufferPointer) -> UInt64? {
        var value: UInt64 = 0
        for index in 0..<digits.count {
            let digit = unsafe digits[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + UInt64(digit)
        }
        return value
    }

    func findings(_ row: AuditRow, _ copies: ArraySlice<UInt8>) -> [AuditFinding] {
        let found = unsafe copies.withUnsafeBytes { bytes in
            var reader = unsafe FieldReader(bytes, from: 0)
            return (0..<1 + Self.columns.count).map { _ in
                reader.field().map { unsafe Array(bytes[$0]) }
            }
        }
        var findings: [AuditFinding] = []
        let (sequence, id) = (row.sequence, row.recordID)
        if found[0] != [1] {
            findings.append(
                AuditFinding(
                    sequence: sequence,
                    description: "audit_ids has not the id and content hash of entry \(sequence) (\(id))"))
        }
        // An entry that cannot be read is found by itself.
        guard let expected = try? RowCopy.fields(of: row) else { return findings }
        for (index, name) in Self.columns.enumerated() where found[1 + index] != expected[4 + index] {
            findings.append(
                AuditFinding(
                    sequence: sequence,
                    description: "the column \(name) of entry \(sequence) (\(id)) is not what the entry says")
            )
        }
        return findings
    }
}

/// Reads fields as COPY writes them: each behind its length, which is −1 for NULL. Of bytes that are borrowed as long as it lives.
@safe
private struct FieldReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position: Int

    init(_ bytes: UnsafeRawBufferPointer, from position: Int) {
        unsafe self.bytes = unsafe bytes
        self.position = position
    }

    var isAtEnd: Bool { unsafe position == bytes.count }

    private mutating func load<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
        let end = position + MemoryLayout<Number>.size
        guard unsafe end <= bytes.count else { return nil }
        defer { position = end }
        // SAFETY: inside the bytes.
        return Number(bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: position, as: Number.self))
    }

    /// Of a row that begins; −1 at the end.
    mutating func columns() -> Int? { load(Int16.self).map { Int($0) } }

    /// Where the next field's bytes are; nil for NULL, and for what has no end.
    mutating func field() -> Range<Int>? {
        guard let count = load(Int32.self), count >= 0, unsafe Int(count) <= bytes.count - position else {
            return nil
        }
        defer { position += Int(count) }
        return position..<position + Int(count)
    }

    /// Steps over fields.
    /// - Returns: whether there are so many.
    mutating func skip(_ fields: Int) -> Bool {
        for _ in 0..<fields {
            guard let count = load(Int32.self), unsafe Int(count) <= bytes.count - position else {
                return false
            }
            position += Int(max(0, count))
        }
        return true
    }

    private mutating func next() -> UnsafeRawBufferPointer? {
        // SAFETY: a field is inside the bytes.
        unsafe field().map { unsafe UnsafeRawBufferPointer(rebasing: bytes[$0]) }
    }

    mutating func number() -> UInt64? { time().map { UInt64(bitPattern: $0) } }

    /// Eight bytes.
    mutating func time() -> Int64? {
        guard let range = field(), range.count == 8 else { return nil }
        // SAFETY: a field is inside the bytes.
        return Int64(bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: Int64.self))
    }

    /// Whether the next field is a boolean that is true.
    mutating func isTrue() -> Bool { unsafe next().map { unsafe $0.elementsEqual([1]) } ?? false }

    mutating func id() -> RecordID? { unsafe next().flatMap { unsafe RecordID($0) } }

    mutating func hash() -> Hash256? { unsafe next().flatMap { unsafe Hash256($0) } }

    /// Whether the next field is a text, or what an entry without it has.
    mutating func isNext(_ text: UnsafeRawBufferPointer?, isOptional: Bool) -> Bool {
        let field = unsafe next()
        guard let text = unsafe text else { return unsafe isOptional ? field == nil : field?.count == 0 }
        // A longer one was cut.
        guard let field = unsafe field, text.count <= CopyData.textCharactersMax else { return false }
        return unsafe Self.areEqual(text, field)
    }

    /// Whether the next field is what hexadecimal digits say, or NULL without any.
    mutating func isNext(digits: UnsafeRawBufferPointer?, bytes count: Int) -> Bool {
        let field = unsafe next()
        guard let digits = unsafe digits else { return unsafe field == nil }
        guard let field = unsafe field, field.count == count, digits.count == 2 * count else {
            return false
        }
        return stride(from: 0, to: count, by: 4).allSatisfy { start in
            // SAFETY: both have so many bytes.
            let text = unsafe digits.loadUnaligned(fromByteOffset: 2 * start, as: UInt64.self)
            let value = UInt32(bigEndian: unsafe field.loadUnaligned(fromByteOffset: start, as: UInt32.self))
            return Hexadecimal.word(text) == value
        }
    }

    /// Whether the next field is a `text[]` of what stands in an entry, from the attribute's value on.
    mutating func isNext(tags: UnsafeRawBufferPointer?) -> Bool {
        guard let field = unsafe next() else { return false }
        var array = unsafe FieldReader(field, from: 0)
        guard let dimensions = array.load(Int32.self), array.load(Int32.self) == 0,
            array.load(UInt32.self) == BinaryForm.textType
        else { return false }
        guard let tags = unsafe tags else { return dimensions == 0 && array.isAtEnd }
        var text = unsafe FieldReader(tags, from: 0)
        guard text.skip("{\"arrayValue\":{\"values\":[") else { return false }
        if dimensions == 1 {
            guard let count = array.load(Int32.self), count > 0, array.load(Int32.self) == 1 else {
                return false
            }
            for index in 0..<count {
                guard let tag = unsafe array.next(), index == 0 || text.skip(","),
                    text.skip("{\"stringValue\":\""), unsafe text.skip(tag: tag), text.skip("\"}")
                else { return false }
            }
        }
        return dimensions <= 1 && array.isAtEnd && text.skip("]}}")
    }

    private mutating func skip(_ text: StaticString) -> Bool {
        unsafe skip(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Steps over a text that stands in JSON as it is.
    private mutating func skip(tag: UnsafeRawBufferPointer) -> Bool {
        for index in 0..<tag.count {
            let byte = unsafe tag[index]
            guard byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") else { return false }
        }
        return unsafe tag.count <= CopyData.textCharactersMax && skip(tag)
    }

    private mutating func skip(_ text: UnsafeRawBufferPointer) -> Bool {
        let end = position + text.count
        guard unsafe end <= bytes.count,
            // SAFETY: inside the bytes.
            unsafe Self.areEqual(UnsafeRawBufferPointer(rebasing: bytes[position..<end]), text)
        else { return false }
        position = end
        return true
    }

    private static func areEqual(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard one.count == other.count, let start = one.baseAddress else {
            return one.count == other.count
        }
        // SAFETY: both have so many bytes, and so addresses.
        return unsafe memcmp(start, other.baseAddress.unsafelyUnwrapped, one.count) == 0
    }
}

extension RowCopy {
    /// What a row's columns are, in the order of `entriesCommand`; nil for NULL.
    static func fields(of row: AuditRow) throws(AuditStoreError) -> [[UInt8]?] {
        let data = try entries([row])
        var fields: [[UInt8]?] = []
        // Behind the header and the count of columns.
        var position = CopyData.headerBytes + 2
        while fields.count < 19 {
            let count = data[position..<position + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            position += 4
            guard count != .max else {
                fields.append(nil)
                continue
            }
            fields.append(Array(data[position..<position + Int(count)]))
            position += Int(count)
        }
        return fields
    }
}
