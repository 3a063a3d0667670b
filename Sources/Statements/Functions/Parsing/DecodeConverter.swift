/// `Decode`: bytes in a named encoding as text.
enum DecodeConverter {
    typealias Decoder = ([UInt8]) throws(EvaluationError) -> [UInt8]

    static var function: Function {
        Function("Decode", [.required("target", .any), .required("encoding", .literalString)]) {
            arguments throws(FunctionError) in
            let (target, name) = (arguments.expression(0), arguments.text(1) ?? "")
            guard let decoder = decoder(name) else { throw FunctionError("unsupported encoding '\(name)'") }
            return { frame throws(EvaluationError) in
                switch try target.evaluate(frame) {
                case .string(let bytes), .bytes(let bytes): return .string(.owned(try decoder(bytes.array)))
                case let other:
                    throw EvaluationError(
                        "unsupported type provided to Decode function: \(other.isNull ? "<nil>" : other.typeName)")
                }
            }
        }
    }

    private static func decoder(_ name: String) -> Decoder? {
        switch name.lowercased() {
        case "base64": return base64(isURL: false, isPadded: true)
        case "base64-raw": return base64(isURL: false, isPadded: false)
        case "base64-url": return base64(isURL: true, isPadded: true)
        case "base64-raw-url": return base64(isURL: true, isPadded: false)
        case "", "nop": return { (bytes) throws(EvaluationError) in bytes }
        case "utf-8", "utf8", "ascii", "us-ascii":
            return { (bytes) throws(EvaluationError) in Array(String(decoding: bytes, as: UTF8.self).utf8) }
        case "utf-16", "utf16", "utf-16le", "utf16le": return utf16(isBigEndian: false)
        case "utf-16be", "utf16be": return utf16(isBigEndian: true)
        case let name: return table(name).map(single)
        }
    }

    private static func base64(isURL: Bool, isPadded: Bool) -> Decoder {
        { (bytes) throws(EvaluationError) in
            guard let decoded = Base64.decode(bytes, isURL: isURL, isPadded: isPadded) else {
                throw EvaluationError("could not decode: illegal base64 data")
            }
            return decoded
        }
    }

    private static func utf16(isBigEndian: Bool) -> Decoder {
        { (bytes) throws(EvaluationError) in
            var units: [UInt16] = []
            for start in stride(from: 0, to: bytes.count - bytes.count % 2, by: 2) {
                let (first, second) = (UInt16(bytes[start]), UInt16(bytes[start + 1]))
                units.append(isBigEndian ? first << 8 | second : second << 8 | first)
            }
            if !bytes.count.isMultiple(of: 2) { units.append(0xFFFD) }
            return Array(String(decoding: units, as: UTF16.self).utf8)
        }
    }

    private static func single(_ table: [UInt16]) -> Decoder {
        { (bytes) throws(EvaluationError) in
            Array(String(decoding: bytes.map { $0 < 0x80 ? UInt16($0) : table[Int($0) - 0x80] }, as: UTF16.self).utf8)
        }
    }

    /// The upper halves of encodings of one byte a character, where they differ from ISO 8859-1.
    private static func table(_ name: String) -> [UInt16]? {
        let latin1 = (0x80...0xFF).map { UInt16($0) }
        func changed(_ changes: [Int: UInt16]) -> [UInt16] {
            var table = latin1
            for (code, scalar) in changes { table[code - 0x80] = scalar }
            return table
        }
        switch name {
        case "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "l1": return latin1
        case "iso-8859-15", "iso8859-15", "latin-9", "latin9":
            return changed([
                0xA4: 0x20AC, 0xA6: 0x0160, 0xA8: 0x0161, 0xB4: 0x017D, 0xB8: 0x017E, 0xBC: 0x0152, 0xBD: 0x0153,
                0xBE: 0x0178,
            ])
        case "iso-8859-5":
            return (0x80...0xFF).map { code in
                switch code {
                case 0xA1...0xAC, 0xAE...0xEF, 0xF1...0xFC, 0xFE, 0xFF: UInt16(code + 0x360)
                case 0xF0: 0x2116
                case 0xFD: 0x00A7
                default: UInt16(code)
                }
            }
        case "iso-8859-9", "latin5":
            return changed([0xD0: 0x011E, 0xDD: 0x0130, 0xDE: 0x015E, 0xF0: 0x011F, 0xFD: 0x0131, 0xFE: 0x015F])
        case "windows-1252", "cp1252", "windows-1254", "cp1254":
            var changes: [Int: UInt16] = [
                0x80: 0x20AC, 0x81: 0xFFFD, 0x82: 0x201A, 0x83: 0x0192, 0x84: 0x201E, 0x85: 0x2026, 0x86: 0x2020,
                0x87: 0x2021, 0x88: 0x02C6, 0x89: 0x2030, 0x8A: 0x0160, 0x8B: 0x2039, 0x8C: 0x0152, 0x8D: 0xFFFD,
                0x8E: 0x017D, 0x8F: 0xFFFD, 0x90: 0xFFFD, 0x91: 0x2018, 0x92: 0x2019, 0x93: 0x201C, 0x94: 0x201D,
                0x95: 0x2022, 0x96: 0x2013, 0x97: 0x2014, 0x98: 0x02DC, 0x99: 0x2122, 0x9A: 0x0161, 0x9B: 0x203A,
                0x9C: 0x0153, 0x9D: 0xFFFD, 0x9E: 0x017E, 0x9F: 0x0178,
            ]
            if name.hasSuffix("1254") {
                changes.merge([
                    0x8E: 0xFFFD, 0x9E: 0xFFFD, 0xD0: 0x011E, 0xDD: 0x0130, 0xDE: 0x015E, 0xF0: 0x011F, 0xFD: 0x0131,
                    0xFE: 0x015F,
                ]) { $1 }
            }
            return changed(changes)
        case "windows-1251", "cp1251":
            let upper: [UInt16] = [
                0x0402, 0x0403, 0x201A, 0x0453, 0x201E, 0x2026, 0x2020, 0x2021, 0x20AC, 0x2030, 0x0409, 0x2039, 0x040A,
                0x040C, 0x040B, 0x040F, 0x0452, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0xFFFD, 0x2122,
                0x0459, 0x203A, 0x045A, 0x045C, 0x045B, 0x045F, 0x00A0, 0x040E, 0x045E, 0x0408, 0x00A4, 0x0490, 0x00A6,
                0x00A7, 0x0401, 0x00A9, 0x0404, 0x00AB, 0x00AC, 0x00AD, 0x00AE, 0x0407, 0x00B0, 0x00B1, 0x0406, 0x0456,
                0x0491, 0x00B5, 0x00B6, 0x00B7, 0x0451, 0x2116, 0x0454, 0x00BB, 0x0458, 0x0405, 0x0455, 0x0457,
            ]
            return upper + (0x0410...0x044F).map { UInt16($0) }
        case "koi8-r":
            return Array(
                "─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓⌠■∙√≈≤≥\u{A0}⌡°²·÷═║╒ё╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡Ё╢╣╤╥╦╧╨╩╪╫╬©юабцдефгхийклмнопярстужвьызшэщчъЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ"
                    .utf16)
        default: return nil
        }
    }
}
