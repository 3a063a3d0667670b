/// Writes Thrift by hand, in one protocol or the other, so that tests do not check the code under test with itself.
struct ThriftWriter {
    let isCompact: Bool
    var bytes: [UInt8] = []
    private var lastID = 0

    init(compact: Bool) { isCompact = compact }

    enum Value {
        case bool(Bool)
        case i32(Int32)
        case i64(Int64)
        case double(Double)
        case text([UInt8])
        case structure((inout ThriftWriter) -> Void)
        case list([(inout ThriftWriter) -> Void])
    }

    private mutating func big(_ value: UInt64, _ count: Int) {
        for index in 0..<count {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - index))))
        }
    }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func zigzag(_ value: Int64) { varint(UInt64(bitPattern: value << 1 ^ value >> 63)) }

    /// The head of a call.
    mutating func call(_ name: String) {
        if isCompact {
            bytes += [0x82, 0x81]
            varint(1)
            text(Array(name.utf8))
        } else {
            big(0x8001_0004, 4)
            text(Array(name.utf8))
            big(1, 4)
        }
    }

    private mutating func text(_ text: [UInt8]) {
        if isCompact { varint(UInt64(text.count)) } else { big(UInt64(text.count), 4) }
        bytes += text
    }

    mutating func field(_ id: Int, _ value: Value) {
        let codes: (UInt8, UInt8) =
            switch value {
            case .bool(let flag): (2, flag ? 1 : 2)
            case .i32: (8, 5)
            case .i64: (10, 6)
            case .double: (4, 7)
            case .text: (11, 8)
            case .structure: (12, 12)
            case .list: (15, 9)
            }
        if isCompact {
            let delta = id - lastID
            if (1...15).contains(delta) {
                bytes.append(UInt8(delta) << 4 | codes.1)
            } else {
                bytes.append(codes.1)
                zigzag(Int64(id))
            }
            lastID = id
        } else {
            bytes.append(codes.0)
            big(UInt64(id), 2)
        }
        write(value)
    }

    mutating func field(_ id: Int, _ text: String) { field(id, .text(Array(text.utf8))) }

    private mutating func write(_ value: Value) {
        switch value {
        case .bool(let flag): if !isCompact { bytes.append(flag ? 1 : 0) }
        case .i32(let number):
            if isCompact { zigzag(Int64(number)) } else { big(UInt64(UInt32(bitPattern: number)), 4) }
        case .i64(let number): if isCompact { zigzag(number) } else { big(UInt64(bitPattern: number), 8) }
        case .double(let number):
            big(isCompact ? number.bitPattern.byteSwapped : number.bitPattern, 8)
        case .text(let text): self.text(text)
        case .structure(let build): structure(build)
        case .list(let items):
            if isCompact {
                if items.count < 15 {
                    bytes.append(UInt8(items.count) << 4 | 12)
                } else {
                    bytes.append(0xFC)
                    varint(UInt64(items.count))
                }
            } else {
                bytes.append(12)
                big(UInt64(items.count), 4)
            }
            for item in items { structure(item) }
        }
    }

    mutating func structure(_ build: (inout ThriftWriter) -> Void) {
        let outer = lastID
        lastID = 0
        build(&self)
        bytes.append(0)
        lastID = outer
    }
}
