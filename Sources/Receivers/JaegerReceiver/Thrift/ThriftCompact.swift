internal import OTLP
internal import RequestServing

/// Thrift's compact protocol.
struct ThriftCompact: ThriftReader {
    private let bytes: WireBytes
    private var position = 0
    /// The last field's id in each structure that is open.
    private var ids: [Int] = []
    /// The value of a field that its head has said.
    private var knownBool: Bool?

    init(_ bytes: WireBytes) { self.bytes = bytes }

    var left: Int { bytes.count - position }

    mutating func byte() throws(TranslationError) -> UInt8 {
        guard left > 0 else { throw .thriftEndsEarly }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func varint() throws(TranslationError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0 as UInt64, to: 70, by: 7) {
            let byte = try byte()
            if shift == 63, byte > 1 { break }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw .thrift("a number has more than 64 bits")
    }

    private static func type(_ code: UInt8) throws(TranslationError) -> ThriftType {
        switch code {
        case 1, 2: .bool
        case 3: .byte
        case 4: .i16
        case 5: .i32
        case 6: .i64
        case 7: .double
        case 8: .string
        case 9: .list
        case 10: .set
        case 11: .map
        case 12: .structure
        default: throw .thrift("unknown type \(code)")
        }
    }

    mutating func messageName() throws(TranslationError) -> [UInt8] {
        guard try byte() == 0x82 else { throw .thrift("not the compact protocol") }
        guard try byte() & 0x1F == 1 else { throw .thrift("unknown version of the protocol") }
        _ = try varint()
        return try string()
    }

    mutating func beginStructure() throws(TranslationError) {
        guard ids.count < Self.depthMax + 8 else {
            throw .thrift("nested deeper than \(Self.depthMax) levels")
        }
        ids.append(0)
    }

    mutating func nextField() throws(TranslationError) -> (id: Int, type: ThriftType)? {
        let head = try byte()
        if head & 0x0F == 0 {
            _ = ids.popLast()
            return nil
        }
        let type = try Self.type(head & 0x0F)
        let delta = Int(head >> 4)
        let id = delta > 0 ? (ids.last ?? 0) + delta : Int(clamping: try integer(.i16))
        if !ids.isEmpty { ids[ids.count - 1] = id }
        knownBool = type == .bool ? head & 0x0F == 1 : nil
        return (id, type)
    }

    mutating func beginList() throws(TranslationError) -> (type: ThriftType, count: Int) {
        let head = try byte()
        let count = head >> 4 == 15 ? try varint() : UInt64(head >> 4)
        let checkedCount = try checked(Int64(clamping: count))
        return (checkedCount == 0 ? .byte : try Self.type(head & 0x0F), checkedCount)
    }

    mutating func beginMap() throws(TranslationError) -> (key: ThriftType, value: ThriftType, count: Int) {
        let count = try varint()
        if count == 0 { return (.byte, .byte, 0) }
        let types = try byte()
        return (
            try Self.type(types >> 4), try Self.type(types & 0x0F),
            try checked(Int64(clamping: count), bytesEach: 2)
        )
    }

    mutating func bool() throws(TranslationError) -> Bool {
        if let known = knownBool {
            knownBool = nil
            return known
        }
        return try byte() == 1
    }

    mutating func integer(_ type: ThriftType) throws(TranslationError) -> Int64 {
        let bits = try varint()
        return Int64(bitPattern: bits >> 1) ^ -Int64(bits & 1)
    }

    mutating func double() throws(TranslationError) -> Double {
        guard left >= 8 else { throw .thriftEndsEarly }
        var bits: UInt64 = 0
        // The other way round than everything else.
        for offset in (0..<8).reversed() { bits = bits << 8 | UInt64(bytes[position + offset]) }
        position += 8
        return Double(bitPattern: bits)
    }

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
        let said = try varint()
        return try checked(length: Int64(clamping: said))
    }
}
