internal import OTLP
internal import RequestServing

/// Thrift's binary protocol, with and without its version in front of messages.
struct ThriftBinary: ThriftReader {
    private let bytes: WireBytes
    private var position = 0

    init(_ bytes: WireBytes) { self.bytes = bytes }

    var left: Int { bytes.count - position }

    private mutating func big(_ count: Int) throws(TranslationError) -> UInt64 {
        guard left >= count else { throw .thriftEndsEarly }
        var value: UInt64 = 0
        for offset in 0..<count { value = value << 8 | UInt64(bytes[position + offset]) }
        position += count
        return value
    }

    private static func type(_ code: UInt64) throws(TranslationError) -> ThriftType {
        switch code {
        case 2: .bool
        case 3: .byte
        case 4: .double
        case 6: .i16
        case 8: .i32
        case 10: .i64
        case 11: .string
        case 12: .structure
        case 13: .map
        case 14: .set
        case 15: .list
        default: throw .thrift("unknown type \(code)")
        }
    }

    mutating func messageName() throws(TranslationError) -> [UInt8] {
        let head = UInt32(truncatingIfNeeded: try big(4))
        if head & 0x8000_0000 != 0 {
            guard head & 0xFFFF_0000 == 0x8001_0000 else { throw .thrift("unknown version of the protocol") }
            let name = try string()
            _ = try big(4)
            return name
        }
        let length = try checked(length: Int64(head))
        let name = bytes.part(position..<position + length).array
        position += length
        _ = try big(5)
        return name
    }

    mutating func beginStructure() {}

    mutating func nextField() throws(TranslationError) -> (id: Int, type: ThriftType)? {
        let code = try big(1)
        if code == 0 { return nil }
        let type = try Self.type(code)
        return (Int(Int16(truncatingIfNeeded: try big(2))), type)
    }

    mutating func beginList() throws(TranslationError) -> (type: ThriftType, count: Int) {
        let type = try Self.type(try big(1))
        let count = try integer(.i32)
        return (type, try checked(count))
    }

    mutating func beginMap() throws(TranslationError) -> (key: ThriftType, value: ThriftType, count: Int) {
        let (key, value) = (try big(1), try big(1))
        let said = try integer(.i32)
        let count = try checked(said, bytesEach: 2)
        if count == 0 { return (.byte, .byte, 0) }
        return (try Self.type(key), try Self.type(value), count)
    }

    mutating func bool() throws(TranslationError) -> Bool { try big(1) != 0 }

    mutating func byte() throws(TranslationError) -> UInt8 { UInt8(truncatingIfNeeded: try big(1)) }

    mutating func integer(_ type: ThriftType) throws(TranslationError) -> Int64 {
        switch type {
        case .i16: Int64(Int16(truncatingIfNeeded: try big(2)))
        case .i32: Int64(Int32(truncatingIfNeeded: try big(4)))
        default: Int64(bitPattern: try big(8))
        }
    }

    mutating func double() throws(TranslationError) -> Double { Double(bitPattern: try big(8)) }

    mutating func string() throws(TranslationError) -> [UInt8] {
        let length = try length()
        position += length
        return bytes.part(position - length..<position).array
    }

    mutating func skipString() throws(TranslationError) {
        let length = try length()
        position += length
    }

    /// Of a text that comes next.
    private mutating func length() throws(TranslationError) -> Int {
        let said = try integer(.i32)
        return try checked(length: said)
    }
}
