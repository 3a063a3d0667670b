internal import OTLP

/// A path of one field, by how it is read and written.
final class FieldPath: PathExpression {
    typealias Getter = (Frame) throws(EvaluationError) -> Value
    typealias Setter = (Value, Frame) throws(EvaluationError) -> Void

    private let getter: Getter
    private let setter: Setter

    init(_ shown: String, get getter: @escaping Getter, set setter: @escaping Setter) {
        (self.getter, self.setter) = (getter, setter)
        super.init(shown)
    }

    override func evaluate(_ frame: Frame) throws(EvaluationError) -> Value { try getter(frame) }
    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) { try setter(value, frame) }
}

/// A text field of a message: the path that is read most beside attributes.
final class TextPath: PathExpression {
    private let level: Level
    private let number: UInt32

    init(_ shown: String, _ level: Level, _ number: UInt32) {
        (self.level, self.number) = (level, number)
        super.init(shown)
    }

    override func evaluate(_ frame: Frame) -> Value { Value(plain(frame)) }
    override var isPlain: Bool { true }

    override func plain(_ frame: Frame) -> AttributeValue {
        .string(frame.editor.content(level.message(frame), number))
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        guard case .string(let bytes) = value else { throw .expects("string", value) }
        frame.editor.setContent(level.message(frame), number, bytes.asText)
    }
}

/// How the integer of a field is kept.
enum IntegerForm {
    case int64, int32, uint32

    func bits(_ value: Int64) -> UInt64 {
        switch self {
        case .int64: UInt64(bitPattern: value)
        case .int32: UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: value)))
        case .uint32: UInt64(UInt32(truncatingIfNeeded: value))
        }
    }
}

/// An integer field of a message.
final class IntPath: PathExpression {
    private let level: Level
    private let number: UInt32
    private let kind: WireKind
    private let form: IntegerForm

    init(_ shown: String, _ level: Level, _ number: UInt32, _ kind: WireKind, _ form: IntegerForm) {
        (self.level, self.number, self.kind, self.form) = (level, number, kind, form)
        super.init(shown)
    }

    override func evaluate(_ frame: Frame) -> Value { Value(plain(frame)) }
    override var isPlain: Bool { true }

    override func plain(_ frame: Frame) -> AttributeValue {
        .int(Int64(bitPattern: frame.editor.bits(level.message(frame), number)))
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        guard case .int(let new) = value else { throw .expects("int64", value) }
        frame.editor.setBits(level.message(frame), number, kind, form.bits(new))
    }
}

extension EvaluationError {
    static func expects(_ expected: String, _ value: Value) -> EvaluationError {
        EvaluationError("expects \(expected) but got \(value.typeName)")
    }
}

/// Paths that are one field of a message.
enum Fields {
    static func text(_ shown: String, _ level: Level, _ number: UInt32) -> PathExpression {
        TextPath(shown, level, number)
    }

    static func int(
        _ shown: String, _ level: Level, _ number: UInt32, _ kind: WireKind = .varint,
        _ form: IntegerForm = .int64
    ) -> PathExpression {
        IntPath(shown, level, number, kind, form)
    }

    static func time(_ shown: String, _ level: Level, _ number: UInt32) -> PathExpression {
        FieldPath(shown) { frame in
            .time(Timestamp(unixNano: Int64(bitPattern: frame.editor.bits(level.message(frame), number))))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .time(let time) = value else { throw .expects("time.Time", value) }
            let bits = UInt64(bitPattern: time.unixNano)
            frame.editor.setBits(level.message(frame), number, .fixed64, bits)
        }
    }

    static func identifier(_ shown: String, _ level: Level, _ number: UInt32, count: Int) -> PathExpression {
        FieldPath(shown) { frame in
            let content = frame.editor.content(level.message(frame), number)
            let bytes =
                content.count == count ? Bytes.borrowed(content) : .owned(.init(repeating: 0, count: count))
            return count == 16 ? .traceID(bytes) : .spanID(bytes)
        } set: { (value, frame) throws(EvaluationError) in
            switch value {
            case .traceID(let bytes) where count == 16, .spanID(let bytes) where count == 8:
                setIdentifier(bytes.array, level, number, frame)
            default: throw .expects(count == 16 ? "pcommon.TraceID" : "pcommon.SpanID", value)
            }
        }
    }

    static func hexText(_ shown: String, _ level: Level, _ number: UInt32, count: Int) -> PathExpression {
        FieldPath(shown) { frame in
            let bytes = frame.editor.content(level.message(frame), number).array
            return .string(.owned(bytes.allSatisfy { $0 == 0 } ? [] : TextForm.hexDigits(bytes)))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .string(let text) = value else { throw .expects("string", value) }
            let name = count == 16 ? "trace" : "span"
            guard text.count == count * 2 else {
                throw EvaluationError("\(name) ids must be \(count * 2) hex characters")
            }
            guard let bytes = [UInt8](hex: text.array) else {
                throw EvaluationError("\(name) ids must be hex characters")
            }
            setIdentifier(bytes, level, number, frame)
        }
    }

    /// Zeros alone are no id.
    private static func setIdentifier(_ bytes: [UInt8], _ level: Level, _ number: UInt32, _ frame: Frame) {
        let content = bytes.allSatisfy { $0 == 0 } ? [] : bytes
        frame.editor.setContent(level.message(frame), number, content)
    }

    /// A repeated message field as a whole.
    static func messages(
        _ shown: String, _ kind: RecordObject.Kind, _ number: UInt32,
        _ message: @escaping (Frame) -> MessageID?
    ) -> PathExpression {
        FieldPath(shown) { frame in
            guard let message = message(frame) else { return .null }
            let parts = frame.editor.contents(message, number)
            return .object(RecordObject(kind: kind, count: parts.count, parts: parts, numbers: []))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .object(let object) = value, object.kind == kind else {
                throw .expects(kind.rawValue, value)
            }
            guard let message = message(frame) else { return }
            frame.editor.remove(message, number)
            for part in object.parts { frame.editor.append(message, number, part) }
        }
    }

    static func readOnly(_ shown: String, _ get: @escaping FieldPath.Getter) -> PathExpression {
        FieldPath(shown, get: get) { (_, _) throws(EvaluationError) in
            throw EvaluationError("\"\(shown)\" is read-only and cannot be modified")
        }
    }
}
