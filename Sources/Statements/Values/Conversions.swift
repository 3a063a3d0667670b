internal import OTLP

/// What functions accept for a parameter: exactly one kind, or ("like") what can be made into it.
extension Value {
    func asString() throws(EvaluationError) -> Bytes {
        guard case .string(let bytes) = self else { throw .expected("string", self) }
        return bytes
    }

    func asInt() throws(EvaluationError) -> Int64 {
        guard case .int(let value) = self else { throw .expected("int64", self) }
        return value
    }

    func asDouble() throws(EvaluationError) -> Double {
        guard case .double(let value) = self else { throw .expected("float64", self) }
        return value
    }

    func asBool() throws(EvaluationError) -> Bool {
        guard case .bool(let value) = self else { throw .expected("bool", self) }
        return value
    }

    func asMap() throws(EvaluationError) -> Map {
        guard case .map(let map) = self else { throw .expected("pcommon.Map", self) }
        return map
    }

    func asList() throws(EvaluationError) -> [Value] {
        switch self {
        case .list(let list): return list.items
        case .object(let object) where object.kind == .counts || object.kind == .bounds: return object.numbers
        default: throw .expected("pcommon.Slice", self)
        }
    }

    func asTime() throws(EvaluationError) -> Timestamp {
        guard case .time(let time) = self else { throw .expected("time", self) }
        return time
    }

    func asDuration() throws(EvaluationError) -> Int64 {
        guard case .duration(let duration) = self else { throw .expected("duration", self) }
        return duration.count
    }

    /// Nil stays nil; bytes are hex, lists and maps JSON, which has neither infinities nor what is no number.
    func stringLike() throws(EvaluationError) -> Bytes? {
        switch self {
        case .null: return nil
        case .string(let bytes): return bytes
        case .bytes(let bytes): return Bytes(TextForm.hex(bytes.array))
        case .traceID(let bytes), .spanID(let bytes): return Bytes(TextForm.hex(bytes.array))
        case .double(let number) where !number.isFinite:
            throw EvaluationError("unsupported type: float64 without a text in JSON: \(TextForm.text(self))")
        default: return .owned(TextForm.json(self))
        }
    }

    /// A text that is no number gives nil.
    func intLike() throws(EvaluationError) -> Int64? {
        switch self {
        case .null: return nil
        case .int(let value): return value
        case .double(let value): return value.truncatedToInt64
        case .bool(let value): return value ? 1 : 0
        case .string(let bytes): return Int64(goDecimal: bytes.array)
        default: throw EvaluationError("unsupported type: \(typeName)")
        }
    }

    /// A text that is no number is an error.
    func doubleLike() throws(EvaluationError) -> Double? {
        switch self {
        case .null: return nil
        case .int(let value): return Double(value)
        case .double(let value): return value
        case .bool(let value): return value ? 1 : 0
        case .string(let bytes):
            let text = bytes.text
            guard let value = Double(goText: text) else {
                throw EvaluationError("strconv.ParseFloat: parsing \(GoFormat.quoted(text)): invalid syntax")
            }
            return value
        default: throw EvaluationError("unsupported type: \(typeName)")
        }
    }

    func boolLike() throws(EvaluationError) -> Bool? {
        switch self {
        case .null: return nil
        case .bool(let value): return value
        case .int(let value): return value != 0
        case .double(let value): return value != 0
        case .string(let bytes):
            switch bytes.text {
            case "1", "t", "T", "TRUE", "true", "True": return true
            case "0", "f", "F", "FALSE", "false", "False": return false
            case let text:
                throw EvaluationError("strconv.ParseBool: parsing \(GoFormat.quoted(text)): invalid syntax")
            }
        default: throw EvaluationError("unsupported type: \(typeName)")
        }
    }

    /// Numbers big-endian.
    func bytesLike() throws(EvaluationError) -> [UInt8]? {
        switch self {
        case .null: return nil
        case .string(let bytes), .bytes(let bytes): return bytes.array
        case .bool(let value): return [value ? 1 : 0]
        case .int(let value): return Self.bigEndian(UInt64(bitPattern: value))
        case .double(let value): return Self.bigEndian(value.bitPattern)
        case .traceID(let bytes), .spanID(let bytes): return bytes.array
        default: throw EvaluationError("unsupported type: \(typeName)")
        }
    }

    private static func bigEndian(_ value: UInt64) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt64($0)) }
    }
}

extension Double {
    /// As an amd64 processor does it: what does not fit gives the smallest number.
    var truncatedToInt64: Int64 {
        Int64(exactly: rounded(.towardZero)) ?? .min
    }
}

extension Int64 {
    /// An optional sign and decimal digits; nil when it is anything else or does not fit.
    init?(goDecimal text: [UInt8]) {
        let digits =
            text.first == UInt8(ascii: "-") || text.first == UInt8(ascii: "+") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.allSatisfy(\.isDigit) else { return nil }
        self.init(String(decoding: text, as: UTF8.self))
    }
}
