internal import RequestServing

/// What a Thrift value is, in both protocols.
enum ThriftType {
    case bool, byte, i16, i32, i64, double, string, structure, map, set, list

    /// Bytes that the shortest value takes in both protocols.
    static let bytesMin = 1
}

extension TranslationError {
    static func thrift(_ message: String) -> TranslationError { .malformed("thrift: \(message)") }

    static let thriftEndsEarly = TranslationError.thrift("ends in the middle of a value")
}

/// Reads Thrift value by value, from bytes that stay where they are. Every read stays inside the bytes, whatever lengths they
/// say. Borrows as `WireBytes`. A copy reads on by itself.
protocol ThriftReader {
    /// Bytes that have not been read.
    var left: Int { get }
    /// Reads the head of a message: the name of the call.
    mutating func messageName() throws(TranslationError) -> [UInt8]
    mutating func beginStructure() throws(TranslationError)
    /// The next field, whose value comes next; nil at the end of the structure, which leaves it. Ids are 0 when they make no
    /// sense.
    mutating func nextField() throws(TranslationError) -> (id: Int, type: ThriftType)?
    /// Begins a list or set of so many elements.
    mutating func beginList() throws(TranslationError) -> (type: ThriftType, count: Int)
    /// Begins a map of so many entries.
    mutating func beginMap() throws(TranslationError) -> (key: ThriftType, value: ThriftType, count: Int)
    mutating func bool() throws(TranslationError) -> Bool
    mutating func byte() throws(TranslationError) -> UInt8
    mutating func integer(_ type: ThriftType) throws(TranslationError) -> Int64
    mutating func double() throws(TranslationError) -> Double
    mutating func string() throws(TranslationError) -> [UInt8]
    mutating func skipString() throws(TranslationError)
}

extension ThriftReader {
    /// How deep values may lie in each other.
    static var depthMax: Int { 64 }

    /// A count of elements, each of which takes at least so many bytes.
    func checked(_ count: Int64, bytesEach: Int = ThriftType.bytesMin) throws(TranslationError) -> Int {
        guard count >= 0 else { throw .thrift("a list has \(count) elements") }
        guard count <= left / bytesEach else {
            throw .thrift("a list says that it has \(count) elements, and \(left) bytes are left")
        }
        return Int(count)
    }

    /// A length of bytes.
    func checked(length: Int64) throws(TranslationError) -> Int {
        guard length >= 0, length <= left else {
            throw .thrift("a text says that it has \(length) bytes, and \(left) are left")
        }
        return Int(length)
    }

    /// Reads a value without looking at it.
    mutating func skip(_ type: ThriftType, depth: Int = 0) throws(TranslationError) {
        guard depth < Self.depthMax else { throw .thrift("nested deeper than \(Self.depthMax) levels") }
        switch type {
        case .bool: _ = try bool()
        case .byte: _ = try byte()
        case .i16, .i32, .i64: _ = try integer(type)
        case .double: _ = try double()
        case .string: try skipString()
        case .structure:
            try beginStructure()
            while let field = try nextField() { try skip(field.type, depth: depth + 1) }
        case .list, .set:
            let (type, count) = try beginList()
            for _ in 0..<count { try skip(type, depth: depth + 1) }
        case .map:
            let (key, value, count) = try beginMap()
            for _ in 0..<count {
                try skip(key, depth: depth + 1)
                try skip(value, depth: depth + 1)
            }
        }
    }

    /// Reads a structure; a value that `body` does not read, which it says by false, is passed over.
    mutating func structure(
        _ body: (inout Self, _ id: Int, _ type: ThriftType) throws(TranslationError) -> Bool
    ) throws(TranslationError) {
        try beginStructure()
        while let (id, type) = try nextField() {
            if try !body(&self, id, type) { try skip(type) }
        }
    }

    /// Reads a list of structures.
    mutating func structures(
        _ name: StaticString, _ body: (inout Self) throws(TranslationError) -> Void
    ) throws(TranslationError) {
        let (type, count) = try beginList()
        guard count == 0 || type == .structure else { throw .thrift("\(name) is no list of structures") }
        for _ in 0..<count { try body(&self) }
    }
}
