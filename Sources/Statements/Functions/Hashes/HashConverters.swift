internal import Hashing

/// Digests of texts, and identifiers that are made.
enum HashConverters {
    static var all: [Function] {
        [
            digest("SHA1", .sha1), digest("SHA256", .sha256), digest("SHA512", .sha512), digest("MD5", .md5),
            hash("FNV") { text in
                var hash: UInt64 = 0xcbf2_9ce4_8422_2325
                for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
                return .int(Int64(bitPattern: hash))
            },
            hash("Murmur3Hash") { text in
                let hash = Murmur3.hash32(text)
                return .string(
                    .owned(TextForm.hexDigits((0..<4).map { UInt8(truncatingIfNeeded: hash >> ($0 * 8)) })))
            },
            hash("Murmur3Hash128") { text in
                let (first, second) = Murmur3.hash128(text)
                var bytes: [UInt8] = []
                bytes.appendFixed64(first)
                bytes.appendFixed64(second)
                return .string(.owned(TextForm.hexDigits(bytes)))
            },
            hash("XXH3") { text in
                var bytes: [UInt8] = []
                bytes.appendBigEndian(XXH3.hash64(text))
                return .string(.owned(TextForm.hexDigits(bytes)))
            },
            hash("XXH128") { text in
                let hash = XXH3.hash128(text)
                var bytes: [UInt8] = []
                bytes.appendBigEndian(hash.high)
                bytes.appendBigEndian(hash.low)
                return .string(.owned(TextForm.hexDigits(bytes)))
            },
            Function("UUID", []) { _ in { _ in .text(UniqueID.random()) } },
            Function("UUIDv7", []) { _ in { _ in .text(UniqueID.ordered()) } },
            Converters.unary("IsValidLuhn", .stringLike, parameter: "value") {
                value throws(EvaluationError) in
                guard let text = try value.stringLike() else { throw EvaluationError("invalid input: <nil>") }
                return .bool(try isLuhn(text.array))
            },
        ]
    }

    private static func hash(_ name: String, _ body: @escaping ([UInt8]) -> Value) -> Function {
        Converters.unary(name, .string) { value throws(EvaluationError) in body(try value.asString().array) }
    }

    private static func digest(_ name: String, _ digest: Digest) -> Function {
        hash(name) { .string(.owned(digest.hex(of: $0))) }
    }

    /// The check digit of card numbers (ISO/IEC 7812-1); spaces between digits are left out.
    private static func isLuhn(_ text: [UInt8]) throws(EvaluationError) -> Bool {
        let digits = text.filter { $0 != UInt8(ascii: " ") }
        guard !digits.isEmpty else { return false }
        if let other = digits.first(where: { !$0.isDigit }) {
            throw EvaluationError(
                "strconv.Atoi: parsing \(GoFormat.quoted(String(decoding: [other], as: UTF8.self))): invalid syntax"
            )
        }
        var sum = 0
        for (index, digit) in digits.reversed().enumerated() {
            var value = Int(digit - UInt8(ascii: "0"))
            if !index.isMultiple(of: 2) { value = value * 2 > 9 ? value * 2 - 9 : value * 2 }
            sum += value
        }
        return sum.isMultiple(of: 10)
    }
}

/// RFC 9562.
private enum UniqueID {
    static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return text(generator.next(), generator.next(), version: 4)
    }

    /// Begins with the milliseconds since 1970.
    static func ordered() -> String {
        var generator = SystemRandomNumberGenerator()
        let milliseconds = UInt64(bitPattern: TimeConverters.now().unixNano / 1_000_000)
        let random: UInt64 = generator.next()
        return text(milliseconds << 16 | random & 0xFFFF, generator.next(), version: 7)
    }

    private static func text(_ high: UInt64, _ low: UInt64, version: UInt64) -> String {
        var bytes: [UInt8] = []
        bytes.appendBigEndian(high & ~0xF000 | version << 12)
        bytes.appendBigEndian(low & ~(3 << 62) | 2 << 62)
        let digits = TextForm.hexDigits(bytes)
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
            .map { String(decoding: digits[$0], as: UTF8.self) }.joined(separator: "-")
    }
}
