internal import AuditLog

/// Values in the binary form in which PostgreSQL sends and takes them: big-endian.
enum BinaryForm {
    private static let byteaType: UInt32 = 17
    static let textType: UInt32 = 25
    /// Microseconds of Unix time at the start of the year 2000, from which a `timestamptz` counts.
    private static let epoch: Int64 = 946_684_800_000_000

    static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        var bytes: [UInt8] = []
        append(value, to: &bytes)
        return bytes
    }

    static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        var value = value.bigEndian
        // SAFETY: copied at once.
        unsafe withUnsafeBytes(of: &value) { unsafe bytes.append(contentsOf: $0) }
    }

    /// A `timestamptz`; what is finer than its microseconds is lost.
    static func time(_ nanoseconds: UInt64) -> Int64 { Int64(nanoseconds / 1000) - epoch }

    /// A `bytea[]`.
    static func array(_ values: some Collection<[UInt8]>) -> [UInt8] { array(values, of: byteaType) }

    /// A `text[]`.
    static func array(texts: [String]) -> [UInt8] { array(texts.map { Array($0.utf8) }, of: textType) }

    private static func array(_ values: some Collection<[UInt8]>, of type: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        append(Int32(values.isEmpty ? 0 : 1), to: &bytes)
        append(Int32(0), to: &bytes)
        append(type, to: &bytes)
        guard !values.isEmpty else { return bytes }
        append(Int32(values.count), to: &bytes)
        append(Int32(1), to: &bytes)
        for value in values {
            append(Int32(value.count), to: &bytes)
            bytes += value
        }
        return bytes
    }
}

/// The data of one `COPY … (FORMAT binary)`.
struct CopyData {
    private(set) var bytes: [UInt8]

    /// Bytes of its header.
    static let headerBytes = 19

    /// Its header: the signature, no flags, no extension.
    init(capacity: Int) {
        bytes = Array("PGCOPY\n".utf8) + [0xff, 0x0d, 0x0a, 0]
        bytes.reserveCapacity(capacity)
        bytes += [0, 0, 0, 0, 0, 0, 0, 0]
    }

    /// Begins a row.
    mutating func row(columns: Int16) { BinaryForm.append(columns, to: &bytes) }

    /// Ends the data.
    mutating func end() { BinaryForm.append(Int16(-1), to: &bytes) }

    mutating func add(_ value: some FixedWidthInteger) {
        BinaryForm.append(Int32(value.bitWidth / 8), to: &bytes)
        BinaryForm.append(value, to: &bytes)
    }

    /// A number that the database has no unsigned type for.
    mutating func add(_ value: UInt64, as what: String) throws(AuditStoreError) {
        add(try Self.signed(value, as: what))
    }

    static func signed(_ value: UInt64, as what: String) throws(AuditStoreError) -> Int64 {
        guard let signed = Int64(exactly: value) else {
            throw AuditStoreError(.refused, "the \(what) \(value) is more than PostgreSQL's bigint holds")
        }
        return signed
    }

    /// NULL for nil.
    mutating func add(_ value: [UInt8]?) {
        BinaryForm.append(Int32(value?.count ?? -1), to: &bytes)
        if let value { bytes += value }
    }

    /// A copy of a text, for queries; NULL for nil.
    mutating func add(copy text: String?) {
        guard let text else { return add(nil as [UInt8]?) }
        var copy = Self.copy(text)
        // SAFETY: borrowed for the call.
        copy.withUTF8 {
            BinaryForm.append(Int32($0.count), to: &bytes)
            unsafe bytes.append(contentsOf: $0)
        }
    }

    /// A text as a column takes it: no longer than an index entry may be, and without the NUL that PostgreSQL's text cannot hold.
    static func copy(_ text: String) -> String {
        // No character has less than one byte.
        if text.utf8.count <= textCharactersMax, !text.utf8.contains(0) { return text }
        let scalars = text.unicodeScalars.prefix(textCharactersMax).map { $0 == "\0" ? "\u{fffd}" : $0 }
        return String(String.UnicodeScalarView(scalars))
    }

    /// Characters of a copy.
    static let textCharactersMax = 255
}
