internal import COTLP

/// Writes export requests as OTLP JSON, strictly: what every reader of OTLP JSON understands.
///
/// Keys in lowerCamelCase; ids of traces and spans in lower-case hexadecimal, other bytes in base 64; enums as
/// numbers, 64-bit integers as strings; `NaN` and the infinities as strings; what has its default value is left
/// out, except in oneofs and lists. Fields that the schema does not know are left out.
///
/// The entries of a list are written together, wherever they stand in their message. When a field that occurs
/// once occurs again, the last counts.
///
/// The bytes must have passed `summarize`; from others, what is malformed is left out. Not for two threads at a
/// time. Allocates nothing, except when `text` must grow.
///
///     var writer = OTLPJSONWriter()
///     writer.begin(.traces)
///     for slice in slices { writer.append(slice) }
///     writer.end()
@safe
package struct OTLPJSONWriter: ~Copyable {
    /// What was written; the caller may write between two requests, such as the end of a line.
    package var text: JSONText
    /// By message; the program's.
    private let messages: UnsafePointer<cotlp_json_message>
    private var request = 0
    private var hasEntries = false

    /// Messages nest less deep than this in bytes that were checked: 64 values, each in a list in a value.
    private static let depthMax = 256

    /// - Parameter sink: see `JSONText`.
    package init(capacity: Int = 4 << 10, sink: JSONText.Sink? = nil) {
        text = JSONText(capacity: capacity, sink: sink)
        unsafe messages = cotlp_json_messages()
    }

    /// Begins the object of an `Export*ServiceRequest`.
    package mutating func begin(_ signal: Signal) {
        request = Int(signal.rawValue)
        hasEntries = false
        text.mark("{")
    }

    /// Appends the entries of a request, or of a part of it that is a run of whole fields.
    package mutating func append(_ part: WireBytes) {
        // SAFETY: a request has one field: its list of entries.
        let list = unsafe messages[request].fields[0]
        for field in part.fields where field.number == Field.Request.resources && field.isBytes {
            if hasEntries {
                text.mark(",")
            } else {
                unsafe put(keyOf: list)
                text.mark("[")
                hasEntries = true
            }
            object(field.bytes, Int(unsafe list.message), depth: 0)
        }
    }

    /// Ends the object.
    package mutating func end() {
        if hasEntries { text.mark("]") }
        text.mark("}")
    }
}

// MARK: - Messages

extension OTLPJSONWriter {
    private mutating func object(_ bytes: WireBytes, _ index: Int, depth: Int) {
        // SAFETY: the index comes from the table itself.
        let message = unsafe messages[index]
        text.mark("{")
        if depth < Self.depthMax {
            if unsafe Self.isOrdered(bytes, message) {
                unsafe orderedFields(bytes, message, depth)
            } else {
                unsafe gatheredFields(bytes, message, depth)
            }
        }
        text.mark("}")
    }

    /// The schema of a field; nil when it is unknown or has another wire type than its own.
    @inline(__always)
    private static func schema(
        of field: WireField, in message: cotlp_json_message
    ) -> UnsafePointer<cotlp_json_field>? {
        guard field.number < UInt32(COTLP_JSON_NUMBERS) else { return nil }
        // SAFETY: every message has so many slots, and a slot that is not 255 is an index into its fields.
        let slot = unsafe message.slots[Int(field.number)]
        guard slot != 255 else { return nil }
        let schema = unsafe message.fields + Int(slot)
        let isBytes = unsafe schema.pointee.kind <= UInt8(COTLP_JSON_MESSAGE)
        // Numbers come in length-delimited fields, too: packed lists.
        guard unsafe isBytes == field.isBytes || (field.isBytes && schema.pointee.is_repeated) else {
            return nil
        }
        return unsafe schema
    }

    /// Whether fields can be written as they come: lists in one piece, everything else once.
    private static func isOrdered(_ bytes: WireBytes, _ message: cotlp_json_message) -> Bool {
        var seen: UInt32 = 0
        var last: UInt32 = 0
        for field in bytes.fields {
            guard let schema = unsafe schema(of: field, in: message) else { continue }
            if unsafe schema.pointee.is_repeated {
                if field.number != last, seen & (1 << field.number) != 0 { return false }
            } else if unsafe seen & schema.pointee.excludes != 0 {
                return false
            }
            seen |= 1 << field.number
            last = field.number
        }
        return true
    }

    private mutating func orderedFields(_ bytes: WireBytes, _ message: cotlp_json_message, _ depth: Int) {
        var isFirst = true
        var list = OpenList()
        for field in bytes.fields {
            guard let schema = unsafe Self.schema(of: field, in: message) else { continue }
            if unsafe schema.pointee.is_repeated {
                unsafe elements(of: field, schema, &list, &isFirst, depth)
            } else if unsafe !Self.isLeftOut(field, schema) {
                if list.number != 0 { close(&list) }
                unsafe put(keyOf: schema.pointee, &isFirst)
                unsafe value(of: field, schema, depth)
            }
        }
        if list.number != 0 { close(&list) }
    }

    /// The same for fields in any order: one walk over the message for each field of its schema.
    private mutating func gatheredFields(_ bytes: WireBytes, _ message: cotlp_json_message, _ depth: Int) {
        var isFirst = true
        for index in 0..<(unsafe Int(message.field_count)) {
            let schema = unsafe message.fields + index
            let number = unsafe UInt32(schema.pointee.number)
            if unsafe schema.pointee.is_repeated {
                var list = OpenList()
                for field in bytes.fields where field.number == number {
                    guard unsafe Self.schema(of: field, in: message) != nil else { continue }
                    unsafe elements(of: field, schema, &list, &isFirst, depth)
                }
                if list.number != 0 { close(&list) }
                continue
            }
            var last: WireField?
            for field in bytes.fields {
                guard let other = unsafe Self.schema(of: field, in: message) else { continue }
                if unsafe other.pointee.excludes & (1 << number) != 0 { last = field }
            }
            guard let last, last.number == number, unsafe !Self.isLeftOut(last, schema) else { continue }
            unsafe put(keyOf: schema.pointee, &isFirst)
            unsafe value(of: last, schema, depth)
        }
    }

    @inline(__always)
    private mutating func put(keyOf schema: cotlp_json_field, _ isFirst: inout Bool) {
        if !isFirst { text.mark(",") }
        isFirst = false
        unsafe put(keyOf: schema)
    }

    @inline(__always)
    private mutating func put(keyOf schema: cotlp_json_field) {
        // SAFETY: the key has so many bytes and lives as long as the program.
        unsafe text.put(UnsafeRawBufferPointer(start: schema.key, count: Int(schema.key_count)))
    }
}

// MARK: - Lists

/// The list that is being written; number 0 is none.
private struct OpenList {
    var number: UInt32 = 0
}

extension OTLPJSONWriter {
    private mutating func close(_ list: inout OpenList) {
        text.mark("]")
        list.number = 0
    }

    /// Writes what stands before the next element.
    private mutating func beginElement(
        _ schema: UnsafePointer<cotlp_json_field>, _ list: inout OpenList, _ isFirst: inout Bool
    ) {
        let number = unsafe UInt32(schema.pointee.number)
        if list.number == number {
            text.mark(",")
            return
        }
        if list.number != 0 { close(&list) }
        unsafe put(keyOf: schema.pointee, &isFirst)
        text.mark("[")
        list.number = number
    }

    /// Writes the one element of a field, or the many of a packed one. A list without elements is not written.
    private mutating func elements(
        of field: WireField, _ schema: UnsafePointer<cotlp_json_field>, _ list: inout OpenList,
        _ isFirst: inout Bool, _ depth: Int
    ) {
        let kind = unsafe schema.pointee.kind
        guard field.isBytes, kind > UInt8(COTLP_JSON_MESSAGE) else {
            unsafe beginElement(schema, &list, &isFirst)
            unsafe value(of: field, schema, depth)
            return
        }
        var packed = PackedNumbers(field.bytes, kind)
        while let bits = packed.next() {
            unsafe beginElement(schema, &list, &isFirst)
            number(bits, kind)
        }
    }
}

/// Walks a packed list; ends early where it is malformed.
private struct PackedNumbers {
    private let bytes: WireBytes
    private var varints: WireFields
    private var offset = 0
    /// 8, 4, or 0 for varints.
    private let width: Int

    init(_ bytes: WireBytes, _ kind: UInt8) {
        self.bytes = bytes
        varints = bytes.fields
        switch Int(kind) {
        case COTLP_JSON_DOUBLE, COTLP_JSON_FIXED64, COTLP_JSON_SFIXED64: width = 8
        case COTLP_JSON_FIXED32: width = 4
        default: width = 0
        }
    }

    mutating func next() -> UInt64? {
        guard width > 0 else {
            return varints.position < varints.end ? varints.readVarint() : nil
        }
        guard bytes.count - offset >= width else { return nil }
        defer { offset += width }
        // SAFETY: so many bytes are left.
        return unsafe width == 8
            ? UInt64(littleEndian: bytes.unsafeBytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            : UInt64(
                UInt32(
                    littleEndian: bytes.unsafeBytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
}

// MARK: - Values

extension OTLPJSONWriter {
    /// Whether a field that occurs once has the default value that readers assume of what is not there.
    private static func isLeftOut(_ field: WireField, _ schema: UnsafePointer<cotlp_json_field>) -> Bool {
        if unsafe schema.pointee.is_explicit { return false }
        switch Int(unsafe schema.pointee.kind) {
        case COTLP_JSON_MESSAGE: return false
        case COTLP_JSON_TEXT, COTLP_JSON_BYTES, COTLP_JSON_ID: return field.bytes.count == 0
        case COTLP_JSON_UINT32, COTLP_JSON_SINT32, COTLP_JSON_ENUM:
            return UInt32(truncatingIfNeeded: field.bits) == 0
        default: return field.bits == 0
        }
    }

    private mutating func value(
        of field: WireField, _ schema: UnsafePointer<cotlp_json_field>, _ depth: Int
    ) {
        let kind = unsafe schema.pointee.kind
        switch Int(kind) {
        case COTLP_JSON_TEXT: unsafe text.put(string: field.bytes.unsafeBytes)
        case COTLP_JSON_MESSAGE: object(field.bytes, Int(unsafe schema.pointee.message), depth: depth + 1)
        case COTLP_JSON_ID: unsafe text.put(hexadecimal: field.bytes.unsafeBytes)
        case COTLP_JSON_BYTES: unsafe text.put(base64: field.bytes.unsafeBytes)
        default: number(field.bits, kind)
        }
    }

    private mutating func number(_ bits: UInt64, _ kind: UInt8) {
        switch Int(kind) {
        case COTLP_JSON_FIXED64, COTLP_JSON_UINT64:
            text.mark("\"")
            text.put(bits)
            text.mark("\"")
        case COTLP_JSON_SFIXED64, COTLP_JSON_INT64:
            text.mark("\"")
            text.put(Int64(bitPattern: bits))
            text.mark("\"")
        case COTLP_JSON_DOUBLE: text.put(Double(bitPattern: bits))
        case COTLP_JSON_BOOL: text.put(json: bits != 0 ? "true" : "false")
        case COTLP_JSON_ENUM: text.put(Int64(Int32(truncatingIfNeeded: bits)))
        case COTLP_JSON_SINT32:
            let word = UInt32(truncatingIfNeeded: bits)
            text.put(Int64(Int32(bitPattern: word >> 1) ^ -Int32(bitPattern: word & 1)))
        default: text.put(UInt64(UInt32(truncatingIfNeeded: bits)))
        }
    }
}
