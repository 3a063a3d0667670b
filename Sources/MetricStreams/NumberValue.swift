package import OTLP

/// The value of a `NumberDataPoint`.
package enum NumberValue: Sendable, Equatable {
    case none
    case int(Int64)
    case double(Double)

    package init(_ editor: RequestEditor, _ point: MessageID) {
        self = .none
        for position in 0..<editor.fieldCount(point) {
            switch editor.number(point, at: position) {
            case Field.NumberPoint.asInt:
                self = .int(Int64(bitPattern: editor.bits(point, at: position)))
            case Field.NumberPoint.asDouble:
                self = .double(Double(bitPattern: editor.bits(point, at: position)))
            default: break
            }
        }
    }

    /// Writes it into a point, instead of what is there.
    package func write(to editor: RequestEditor, _ point: MessageID) {
        switch self {
        case .none:
            editor.remove(point, Field.NumberPoint.asInt)
            editor.remove(point, Field.NumberPoint.asDouble)
        case .int(let value):
            editor.remove(point, Field.NumberPoint.asDouble)
            editor.setBits(point, Field.NumberPoint.asInt, .fixed64, UInt64(bitPattern: value))
        case .double(let value):
            editor.remove(point, Field.NumberPoint.asInt)
            editor.setBits(point, Field.NumberPoint.asDouble, .fixed64, value.bitPattern)
        }
    }

    /// As a double; 0 for none.
    package var double: Double {
        switch self {
        case .none: 0
        case .int(let value): Double(value)
        case .double(let value): value
        }
    }

    /// As an integer, cut off; 0 for none. What fits nowhere is the nearest that does, and no number is 0.
    package var int: Int64 {
        switch self {
        case .none: 0
        case .int(let value): value
        case .double(let value): Self.int(value)
        }
    }

    /// Cuts off what is behind the point.
    package static func int(_ value: Double) -> Int64 {
        if value.isNaN { return 0 }
        return Int64(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : .max)
    }
}
