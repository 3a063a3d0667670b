internal import OTLP

/// The messages of a frame that paths begin at.
enum Level {
    case resourceGroup, resource, scopeGroup, scope, item, part, exemplar

    func message(_ frame: Frame, creates: Bool = false) -> Message? {
        switch self {
        case .resourceGroup: frame.resourceGroup
        case .resource: frame.resourceGroup.child(1, creates: creates)
        case .scopeGroup: frame.scopeGroup
        case .scope: frame.scopeGroup.child(1, creates: creates)
        case .item: frame.item
        case .part: frame.part
        case .exemplar: frame.exemplar
        }
    }
}

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

extension EvaluationError {
    static func expects(_ expected: String, _ value: Value) -> EvaluationError {
        EvaluationError("expects \(expected) but got \(value.typeName)")
    }
}

/// Paths that are one field of a message.
enum Fields {
    static func text(_ shown: String, _ level: Level, _ number: UInt32) -> PathExpression {
        FieldPath(shown) { frame in
            .string(level.message(frame)?.content(number) ?? .owned([]))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .string(let bytes) = value else { throw .expects("string", value) }
            level.message(frame, creates: true)?.setContent(number, bytes.array)
        }
    }

    static func int(_ shown: String, _ level: Level, _ number: UInt32, _ kind: WireKind = .varint)
        -> PathExpression
    {
        FieldPath(shown) { frame in
            .int(Int64(bitPattern: level.message(frame)?.bits(number) ?? 0))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .int(let number64) = value else { throw .expects("int64", value) }
            var bits = UInt64(bitPattern: number64)
            // Counts and flags have 32 bits.
            if kind == .fixed32 || shown.contains("dropped") || shown.hasSuffix("flags") {
                bits &= 0xFFFF_FFFF
            }
            level.message(frame, creates: true)?.setBits(number, kind, bits)
        }
    }

    static func time(_ shown: String, _ level: Level, _ number: UInt32) -> PathExpression {
        FieldPath(shown) { frame in
            .time(Timestamp(unixNano: Int64(bitPattern: level.message(frame)?.bits(number) ?? 0)))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .time(let time) = value else { throw .expects("time.Time", value) }
            level.message(frame, creates: true)?.setBits(number, .fixed64, UInt64(bitPattern: time.unixNano))
        }
    }

    static func identifier(_ shown: String, _ level: Level, _ number: UInt32, count: Int) -> PathExpression {
        FieldPath(shown) { frame in
            let bytes = padded(level.message(frame)?.content(number), count)
            return count == 16 ? .traceID(bytes) : .spanID(bytes)
        } set: { (value, frame) throws(EvaluationError) in
            switch value {
            case .traceID(let bytes) where count == 16, .spanID(let bytes) where count == 8:
                level.message(frame, creates: true)?.setContent(number, bytes)
            default: throw .expects(count == 16 ? "pcommon.TraceID" : "pcommon.SpanID", value)
            }
        }
    }

    static func hexText(_ shown: String, _ level: Level, _ number: UInt32, count: Int) -> PathExpression {
        FieldPath(shown) { frame in
            let bytes = level.message(frame)?.content(number)?.array ?? []
            return .text(bytes.allSatisfy { $0 == 0 } ? "" : TextForm.hex(bytes))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .string(let text) = value else { throw .expects("string", value) }
            let name = count == 16 ? "trace" : "span"
            guard text.count == count * 2 else {
                throw EvaluationError("\(name) ids must be \(count * 2) hex characters")
            }
            guard let bytes = [UInt8](hex: text.array) else {
                throw EvaluationError("\(name) ids must be hex characters")
            }
            level.message(frame, creates: true)?.setContent(number, bytes)
        }
    }

    private static func padded(_ bytes: Bytes?, _ count: Int) -> [UInt8] {
        let array = bytes?.array ?? []
        return array.count == count ? array : [UInt8](repeating: 0, count: count)
    }

    /// A repeated message field as a whole.
    static func messages(
        _ shown: String, _ kind: RecordObject.Kind, _ number: UInt32,
        _ message: @escaping (Frame) -> Message?
    ) -> PathExpression {
        FieldPath(shown) { frame in
            guard let message = message(frame) else { return .null }
            var parts: [Bytes] = []
            for index in message.entries.indices where message.entries[index].number == number {
                parts.append(message.content(at: index))
            }
            return .object(RecordObject(kind: kind, count: parts.count, parts: parts, numbers: []))
        } set: { (value, frame) throws(EvaluationError) in
            guard case .object(let object) = value, object.kind == kind else {
                throw .expects(kind.rawValue, value)
            }
            guard let message = message(frame) else { return }
            let parts = object.parts.map(\.array)
            message.remove(number)
            for part in parts { message.append(number, part) }
        }
    }

    static func readOnly(_ shown: String, _ get: @escaping FieldPath.Getter) -> PathExpression {
        FieldPath(shown, get: get) { (_, _) throws(EvaluationError) in
            throw EvaluationError("\"\(shown)\" is read-only and cannot be modified")
        }
    }
}
