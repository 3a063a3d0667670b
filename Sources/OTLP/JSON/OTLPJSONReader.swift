internal import COTLP

/// Why a JSON text has not become a request.
package enum OTLPJSONError: Error, Sendable, Equatable {
    /// The text is not OTLP JSON.
    case invalid(JSONError)
    /// The request needs more memory than it was given.
    case outputFull
}

/// Reads an export request from OTLP JSON, leniently, and writes its protobuf encoding.
///
/// Keys in lowerCamelCase or as in `proto/`; every number as a number or a string; enums as numbers or names; ids of
/// traces and spans in hexadecimal of either case, other bytes in base 64 of either alphabet; `null` is what is not
/// there; unknown keys are skipped with their values. Any thread; allocates nothing unless it throws.
///
/// What comes out is well-formed protobuf, but values may be nested deeper than `summarize` lets pass, and texts are
/// as they came, which may not be UTF-8: `summarize` finds them, `RequestRepair` mends them.
///
/// - Parameters:
///   - text: borrowed for the call.
///   - output: where the request is written. Rarely needs more than `text` has, at most 4 times that and 64.
/// - Returns: the bytes written.
package func readOTLPJSON(
    _ text: UnsafeRawBufferPointer, as signal: Signal, into output: UnsafeMutableRawBufferPointer
) throws(OTLPJSONError) -> Int {
    var reader = unsafe OTLPJSONReader(reading: try openJSON(text), into: RequestBytes(output))
    return try reader.readRequest(signal)
}

/// 64 values, each four objects or lists below the one around it, and what is around them.
private let nestingMax = 320

private func openJSON(_ text: UnsafeRawBufferPointer) throws(OTLPJSONError) -> JSONReader {
    do throws(JSONError) {
        return unsafe try JSONReader(text, depthMax: nestingMax, takesAnyText: true)
    } catch {
        throw .invalid(error)
    }
}

/// Reads one request.
@safe
private struct OTLPJSONReader {
    /// What goes wrong below; told apart at the top.
    private enum Fault: Error {
        case json(JSONError)
        case full
    }

    private var input: JSONReader
    private var output: RequestBytes
    private let messages: UnsafePointer<cotlp_json_message>

    /// Messages in messages beyond this have lengths of five bytes.
    private static let shallowDepth = 12

    init(reading input: JSONReader, into output: RequestBytes) {
        self.input = input
        self.output = output
        unsafe messages = cotlp_json_messages()
    }

    mutating func readRequest(_ signal: Signal) throws(OTLPJSONError) -> Int {
        do throws(Fault) {
            try message(Int(signal.rawValue), depth: 0)
            try json { (input) throws(JSONError) in try input.finish() }
            return output.count
        } catch {
            switch error {
            case .json(let error): throw .invalid(error)
            case .full: throw .outputFull
            }
        }
    }

    // MARK: - Faults

    @inline(__always)
    private mutating func json<Value>(
        _ read: (inout JSONReader) throws(JSONError) -> Value
    ) throws(Fault) -> Value {
        do throws(JSONError) { return try read(&input) } catch { throw .json(error) }
    }

    @inline(__always)
    private mutating func write<Value>(
        _ write: (inout RequestBytes) throws(RequestBytes.Full) -> Value
    ) throws(Fault) -> Value {
        do throws(RequestBytes.Full) { return try write(&output) } catch { throw .full }
    }

    /// A value that this field cannot take; points at its first byte.
    private func wrong(_ reason: JSONError.Reason, at offset: Int) -> Fault {
        .json(input.failure(reason, at: offset))
    }

    private func wrong(_ expected: JSONError.Expected) -> Fault {
        .json(input.failure(.expected(expected)))
    }

    // MARK: - Messages and lists

    private mutating func message(_ index: Int, depth: Int) throws(Fault) {
        // SAFETY: the index comes from the table itself.
        let message = unsafe messages[index]
        try json { (input) throws(JSONError) in try input.beginObject() }
        var expected = 0
        while let key = try json({ (input) throws(JSONError) in try input.nextKey() }) {
            guard let field = unsafe Self.field(key, message, &expected) else {
                try json { (input) throws(JSONError) in try input.skipValue() }
                continue
            }
            if try json({ (input) throws(JSONError) in try input.readNull() }) { continue }
            if unsafe !field.pointee.is_repeated {
                unsafe try value(field, isElement: false, depth)
            } else if unsafe field.pointee.kind <= UInt8(COTLP_JSON_MESSAGE) {
                unsafe try list(field, depth)
            } else {
                unsafe try packedList(field, depth)
            }
        }
    }

    /// The field of a key; keys mostly come in the order of the schema.
    @inline(__always)
    private static func field(
        _ key: JSONString, _ message: cotlp_json_message, _ expected: inout Int
    ) -> UnsafePointer<cotlp_json_field>? {
        let count = unsafe Int(message.field_count)
        guard !key.hasEscapes else { return unsafe escapedField(key, message) }
        let name = unsafe key.bytes.unsafeBytes.assumingMemoryBound(to: UInt8.self)
        for step in 0..<count {
            let index = expected &+ step < count ? expected &+ step : expected &+ step &- count
            let field = unsafe message.fields + index
            // SAFETY: compares `name.count` bytes at most; bytes of a text have an address.
            if unsafe cotlp_json_is_key(field, name.baseAddress.unsafelyUnwrapped, name.count) {
                expected = index &+ 1 < count ? index &+ 1 : 0
                return unsafe field
            }
        }
        return nil
    }

    private static func escapedField(
        _ key: JSONString, _ message: cotlp_json_message
    ) -> UnsafePointer<cotlp_json_field>? {
        var name = Array(key.text.utf8)
        name.append(0)  // So that there is an address.
        for index in 0..<(unsafe Int(message.field_count)) {
            let field = unsafe message.fields + index
            if unsafe cotlp_json_is_key(field, name, name.count - 1) { return unsafe field }
        }
        return nil
    }

    /// A list of texts, bytes or messages: a field for each. `null` is an empty one.
    private mutating func list(_ field: UnsafePointer<cotlp_json_field>, _ depth: Int) throws(Fault) {
        try json { (input) throws(JSONError) in try input.beginList() }
        while try json({ (input) throws(JSONError) in try input.nextElement() }) {
            if try json({ (input) throws(JSONError) in try input.readNull() }) {
                let number = unsafe field.pointee.number
                try write { (output) throws(RequestBytes.Full) in
                    try output.tag(number, 2)
                    try output.byte(0)
                }
            } else {
                unsafe try value(field, isElement: true, depth)
            }
        }
    }

    /// A list of numbers: one field.
    private mutating func packedList(_ field: UnsafePointer<cotlp_json_field>, _ depth: Int) throws(Fault) {
        let before = output.count
        let number = unsafe field.pointee.number
        try json { (input) throws(JSONError) in try input.beginList() }
        let list = try write { (output) throws(RequestBytes.Full) in
            try output.tag(number, 2)
            return try output.begin(isDeep: false)
        }
        var isEmpty = true
        while try json({ (input) throws(JSONError) in try input.nextElement() }) {
            let bits = unsafe try numberBits(field.pointee)
            unsafe try put(bits, Int(field.pointee.kind))
            isEmpty = false
        }
        if isEmpty {
            output.cut(to: before)
        } else {
            try write { (output) throws(RequestBytes.Full) in try output.end(list) }
        }
    }

    // MARK: - Values

    private mutating func value(
        _ field: UnsafePointer<cotlp_json_field>, isElement: Bool, _ depth: Int
    ) throws(Fault) {
        let number = unsafe field.pointee.number
        let isWritten = unsafe isElement || field.pointee.is_explicit
        switch Int(unsafe field.pointee.kind) {
        case COTLP_JSON_MESSAGE:
            let message = try write { (output) throws(RequestBytes.Full) in
                try output.tag(number, 2)
                return try output.begin(isDeep: depth > Self.shallowDepth)
            }
            try self.message(Int(unsafe field.pointee.message), depth: depth + 1)
            try write { (output) throws(RequestBytes.Full) in try output.end(message) }
        case COTLP_JSON_TEXT:
            let text = try json { (input) throws(JSONError) in try input.readString() }
            guard isWritten || text.bytes.count > 0 else { return }
            try write { (output) throws(RequestBytes.Full) in
                try output.tag(number, 2)
                try output.text(text)
            }
        case COTLP_JSON_ID, COTLP_JSON_BYTES:
            unsafe try bytes(field, isWritten: isWritten)
        case let kind:
            let bits = unsafe try numberBits(field.pointee)
            guard isWritten || bits != 0 else { return }
            try write { (output) throws(RequestBytes.Full) in
                try output.tag(number, Self.wireType(kind))
            }
            try put(bits, kind)
        }
    }

    private mutating func bytes(
        _ field: UnsafePointer<cotlp_json_field>, isWritten: Bool
    ) throws(Fault) {
        let start = input.position
        let text = try json { (input) throws(JSONError) in try input.readString() }
        guard isWritten || text.bytes.count > 0 else { return }
        let number = unsafe field.pointee.number
        let isID = unsafe Int(field.pointee.kind) == COTLP_JSON_ID
        // Digits need no escapes, except for the slash that some writers escape.
        let plain = text.hasEscapes ? Array(text.text.utf8) : []
        let isDecoded = try write { (output) throws(RequestBytes.Full) in
            try output.tag(number, 2)
            let content = try output.begin(isDeep: false)
            let isDecoded =
                text.hasEscapes
                ? try output.decode(plain, isHexadecimal: isID)
                : try output.decode(text.bytes, isHexadecimal: isID)
            try output.end(content)
            return isDecoded
        }
        guard isDecoded else { throw wrong(isID ? .notHexadecimal : .notBase64, at: start) }
        guard isID else { return }
        let isTrace = unsafe field.pointee.name_count == "trace_id".utf8.count
        let expected = Int(isTrace ? COTLP_TRACE_ID_BYTES : COTLP_SPAN_ID_BYTES)
        let count = (text.hasEscapes ? plain.count : text.bytes.count) / 2
        if count != expected, count != 0 {
            throw wrong(.wrongIDLength(bytes: count, expected: expected), at: start)
        }
    }

    @inline(__always)
    private static func wireType(_ kind: Int) -> UInt8 {
        switch kind {
        case COTLP_JSON_DOUBLE, COTLP_JSON_FIXED64, COTLP_JSON_SFIXED64: 1
        case COTLP_JSON_FIXED32: 5
        default: 0
        }
    }

    @inline(__always)
    private mutating func put(_ bits: UInt64, _ kind: Int) throws(Fault) {
        try write { (output) throws(RequestBytes.Full) in
            switch Self.wireType(kind) {
            case 1: try output.fixed64(bits)
            case 5: try output.fixed32(UInt32(truncatingIfNeeded: bits))
            default: try output.varint(bits)
            }
        }
    }

    /// Reads a number, boolean or enum; as it goes on the wire.
    private mutating func numberBits(_ field: cotlp_json_field) throws(Fault) -> UInt64 {
        let kind = try json { (input) throws(JSONError) in try input.peek() }
        let start = input.position
        switch kind {
        case .number:
            let number = try json { (input) throws(JSONError) in try input.readNumber() }
            return unsafe try bits(of: number, field, start)
        case .string:
            let text = try json { (input) throws(JSONError) in try input.readString() }
            return unsafe try bits(of: text, field, start)
        case .boolean where Int(unsafe field.kind) == COTLP_JSON_BOOL:
            return try json { (input) throws(JSONError) in try input.readBool() } ? 1 : 0
        default:
            throw wrong(Int(unsafe field.kind) == COTLP_JSON_BOOL ? .boolean : .number)
        }
    }

    private func bits(of text: JSONString, _ field: cotlp_json_field, _ start: Int) throws(Fault) -> UInt64 {
        let kind = Int(unsafe field.kind)
        if kind == COTLP_JSON_BOOL {
            if text == "true" { return 1 }
            if text == "false" { return 0 }
            throw wrong(.expected(.boolean), at: start)
        }
        if kind == COTLP_JSON_DOUBLE {
            if text == "NaN" { return Double.nan.bitPattern }
            if text == "Infinity" { return Double.infinity.bitPattern }
            if text == "-Infinity" { return (-Double.infinity).bitPattern }
        }
        if let number = JSONNumber(whole: text.bytes) { return unsafe try bits(of: number, field, start) }
        guard kind == COTLP_JSON_ENUM, let values = unsafe field.values else {
            throw wrong(.expected(.number), at: start)
        }
        var number: Int32 = 0
        let name = unsafe text.bytes.unsafeBytes.assumingMemoryBound(to: UInt8.self)
        // SAFETY: compares `name.count` bytes at most; bytes of a text have an address.
        let isKnown = unsafe cotlp_json_enum_number(
            values, name.baseAddress.unsafelyUnwrapped, name.count, &number)
        guard isKnown else { throw wrong(.unknownName, at: start) }
        return UInt64(bitPattern: Int64(number))
    }

    private func bits(
        of number: JSONNumber, _ field: cotlp_json_field, _ start: Int
    ) throws(Fault) -> UInt64 {
        switch Int(unsafe field.kind) {
        case COTLP_JSON_DOUBLE:
            let value = number.double
            if value.isFinite { return value.bitPattern }
        case COTLP_JSON_FIXED64, COTLP_JSON_UINT64:
            if let value = number.uint64 { return value }
        case COTLP_JSON_INT64, COTLP_JSON_SFIXED64:
            if let value = number.int64 { return UInt64(bitPattern: value) }
        case COTLP_JSON_UINT32, COTLP_JSON_FIXED32:
            if let value = number.uint64, value <= UInt64(UInt32.max) { return value }
        case COTLP_JSON_ENUM:
            if let value = number.int64, Int32(exactly: value) != nil { return UInt64(bitPattern: value) }
        case COTLP_JSON_SINT32:
            if let value = number.int64, let word = Int32(exactly: value) {
                return UInt64(UInt32(bitPattern: (word << 1) ^ (word >> 31)))
            }
        default: throw wrong(.expected(.boolean), at: start)
        }
        throw wrong(.outOfRange, at: start)
    }
}
