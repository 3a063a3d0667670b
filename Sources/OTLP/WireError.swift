internal import COTLP

/// Why the bytes of a request are not a valid OTLP request: the reason and the place.
package struct WireError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The rule that was broken.
    package enum Reason: Sendable, Equatable {
        /// A field ends after the message that holds it, or after the request.
        case truncated
        /// A varint of more than 64 bits, or a tag or length of more than 32.
        case malformedVarint
        /// Field number 0.
        case invalidFieldNumber
        /// A group, or a wire type that does not exist.
        case invalidWireType
        /// A known field with another wire type than its own.
        case wrongWireType
        /// Text that is not UTF-8; `RequestRepair` makes it so.
        case invalidUTF8
        /// A packed list that ends inside an element.
        case malformedPackedList
        /// A packed list of varints that takes more bytes than one may.
        case longPackedList(bytes: Int, most: Int)
        /// Attribute values nested deeper than 64.
        case tooDeep
        /// A message that a field holds once, or a list of numbers, in several parts; `RequestRepair` makes it one.
        case scattered
        /// More such parts than are put together.
        case tooScattered
        /// The id of a trace or a span that is neither empty nor as long as such ids are.
        case wrongIDLength(bytes: Int, expected: Int)
    }

    package var reason: Reason
    /// Whether `RequestRepair` makes the request one that is right, if nothing else is wrong.
    package var isRepairable: Bool { reason == .invalidUTF8 || reason == .scattered }
    /// Index, from the start of the request, of the byte at which it went wrong.
    package var offset: Int
    /// Full protobuf name of the message that holds the field.
    package var message: String
    /// Number of the field; 0 when its tag is broken.
    package var fieldNumber: Int
    /// Name of the field, where the schema knows it.
    package var fieldName: String?

    /// For example `invalid UTF-8 at byte 1234, in opentelemetry.proto.trace.v1.Span field 5 (name)`.
    package var description: String {
        var text = "\(reason.text) at byte \(offset), in \(message)"
        if fieldNumber > 0 { text += " field \(fieldNumber)" }
        if let fieldName { text += " (\(fieldName))" }
        return text
    }
}

extension WireError.Reason {
    fileprivate var text: String {
        switch self {
        case .truncated: "truncated field"
        case .malformedVarint: "malformed varint"
        case .invalidFieldNumber: "invalid field number 0"
        case .invalidWireType: "invalid wire type"
        case .wrongWireType: "wrong wire type"
        case .invalidUTF8: "invalid UTF-8"
        case .malformedPackedList: "malformed packed list"
        case .longPackedList(let bytes, let most):
            "a packed list of \(bytes) bytes, which must have no more than \(most),"
        case .tooDeep: "attribute values nested deeper than \(COTLP_VALUE_DEPTH_MAX)"
        case .scattered: "a message or list in several parts"
        case .tooScattered: "more than \(COTLP_PARTS_MAX) parts of messages or lists"
        case .wrongIDLength(let bytes, let expected):
            "an id of \(bytes) bytes, which must have \(expected) or none,"
        }
    }

    fileprivate init(code: Int32, length: Int) {
        switch Int(code) {
        case COTLP_TRUNCATED: self = .truncated
        case COTLP_BAD_VARINT: self = .malformedVarint
        case COTLP_BAD_FIELD_NUMBER: self = .invalidFieldNumber
        case COTLP_BAD_WIRE_TYPE: self = .invalidWireType
        case COTLP_WRONG_WIRE_TYPE: self = .wrongWireType
        case COTLP_BAD_UTF8: self = .invalidUTF8
        case COTLP_BAD_PACKED: self = .malformedPackedList
        case COTLP_LONG_PACKED:
            self = .longPackedList(bytes: length, most: Int(COTLP_PACKED_MAX_BYTES))
        case COTLP_TOO_DEEP: self = .tooDeep
        case COTLP_SCATTERED: self = .scattered
        case COTLP_TOO_SCATTERED: self = .tooScattered
        case COTLP_BAD_TRACE_ID:
            self = .wrongIDLength(bytes: length, expected: Int(COTLP_TRACE_ID_BYTES))
        case COTLP_BAD_SPAN_ID: self = .wrongIDLength(bytes: length, expected: Int(COTLP_SPAN_ID_BYTES))
        default: preconditionFailure("cotlp_check returned the unknown code \(code)")
        }
    }
}

extension WireError {
    init(_ fault: cotlp_fault) {
        // SAFETY: the names are constants of the program, ended by NUL.
        self.reason = unsafe Reason(code: fault.code, length: fault.length)
        self.offset = unsafe fault.offset
        self.message = unsafe fault.message_name.map { unsafe String(cString: $0) } ?? ""
        self.fieldNumber = unsafe Int(fault.field_number)
        self.fieldName = unsafe fault.field_name.map { unsafe String(cString: $0) }
    }
}
