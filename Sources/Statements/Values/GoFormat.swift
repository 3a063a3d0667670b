internal import OTLP

/// Go's `Sprintf` for values; wrong verbs print what Go prints, there is no error.
enum GoFormat {
    private struct Verb {
        var minus = false
        var plus = false
        var sharp = false
        var space = false
        var zero = false
        var width: Int?
        var precision: Int?
    }

    /// What is left of a format, and the arguments.
    private struct Scan {
        var rest: ArraySlice<UnicodeScalar>
        let arguments: [Value]
        /// The next argument.
        var next = 0
        /// Whether an argument was chosen by its number, somewhere.
        var isReordered = false
        /// Whether all numbers of this verb are those of arguments.
        var isGood = true
    }

    static func format(_ format: String, _ arguments: [Value]) -> String {
        var output = ""
        var scan = Scan(rest: Array(format.unicodeScalars)[...], arguments: arguments)
        while let scalar = scan.rest.popFirst() {
            guard scalar == "%" else {
                output.unicodeScalars.append(scalar)
                continue
            }
            var verb = Verb()
            scan.isGood = true
            output += parse(&verb, &scan)
            guard let letter = scan.rest.popFirst() else {
                output += "%!(NOVERB)"
                break
            }
            if letter == "%" {
                output += "%"
            } else if !scan.isGood {
                output += "%!\(Character(letter))(BADINDEX)"
            } else if scan.next >= arguments.count {
                output += "%!\(Character(letter))(MISSING)"
            } else {
                let argument = arguments[scan.next]
                let shown = text(argument, Character(letter), verb)
                if case .list(.items) = argument { output += shown } else { output += pad(shown, verb) }
                scan.next += 1
            }
        }
        if !scan.isReordered, scan.next < arguments.count {
            output +=
                "%!(EXTRA "
                + arguments[scan.next...].map {
                    "\(goType($0))=\(TextForm.text($0))"
                }.joined(separator: ", ") + ")"
        }
        return output
    }

    /// Reads flags, width and precision.
    /// - Returns: what is printed of mistakes in them.
    private static func parse(_ verb: inout Verb, _ scan: inout Scan) -> String {
        flags: while let flag = scan.rest.first {
            switch flag {
            case "-": verb.minus = true
            case "+": verb.plus = true
            case "#": verb.sharp = true
            case " ": verb.space = true
            case "0": verb.zero = true
            default: break flags
            }
            scan.rest = scan.rest.dropFirst()
        }
        var mistakes = ""
        var isBehindIndex = index(&scan)
        if scan.rest.first == "*" {
            verb.width = star(&scan)
            if verb.width == nil { mistakes += "%!(BADWIDTH)" }
            if let width = verb.width, width < 0 {
                (verb.width, verb.minus, verb.zero) = (-width, true, false)
            }
            isBehindIndex = false
        } else {
            verb.width = number(&scan.rest)
            if isBehindIndex, verb.width != nil { scan.isGood = false }
        }
        if scan.rest.first == "." {
            scan.rest = scan.rest.dropFirst()
            if isBehindIndex { scan.isGood = false }
            isBehindIndex = index(&scan)
            if scan.rest.first == "*" {
                verb.precision = star(&scan).flatMap { $0 < 0 ? nil : $0 }
                if verb.precision == nil { mistakes += "%!(BADPREC)" }
                isBehindIndex = false
            } else {
                verb.precision = number(&scan.rest) ?? 0
            }
        }
        if !isBehindIndex { _ = index(&scan) }
        return mistakes
    }

    /// Reads `[3]`, the number of the next argument.
    private static func index(_ scan: inout Scan) -> Bool {
        guard scan.rest.first == "[" else { return false }
        scan.isReordered = true
        guard let end = scan.rest.firstIndex(of: "]") else {
            scan.rest = scan.rest.dropFirst()
            scan.isGood = false
            return false
        }
        var digits = scan.rest[scan.rest.startIndex..<end].dropFirst()
        scan.rest = scan.rest[end...].dropFirst()
        guard let number = number(&digits), digits.isEmpty else {
            scan.isGood = false
            return false
        }
        guard number >= 1, number <= scan.arguments.count else {
            scan.isGood = false
            return true
        }
        scan.next = number - 1
        return true
    }

    /// Reads `*`: the number that the next argument is, within a million.
    private static func star(_ scan: inout Scan) -> Int? {
        scan.rest = scan.rest.dropFirst()
        guard scan.next < scan.arguments.count else { return nil }
        defer { scan.next += 1 }
        guard case .int(let number) = scan.arguments[scan.next], number.magnitude <= UInt64(widthMax)
        else { return nil }
        return Int(number)
    }

    /// So that a format cannot ask for a gigabyte of spaces.
    private static let widthMax = 1_000_000

    /// At most `widthMax`.
    private static func number(_ rest: inout ArraySlice<UnicodeScalar>) -> Int? {
        var value: Int?
        while let digit = rest.first, ("0"..."9").contains(digit) {
            value = min((value ?? 0) * 10 + Int(digit.value) - 48, widthMax)
            rest = rest.dropFirst()
        }
        return value
    }

    private static func pad(_ text: String, _ verb: Verb) -> String {
        let missing = (verb.width ?? 0) - text.unicodeScalars.count
        guard missing > 0 else { return text }
        if verb.minus { return text + String(repeating: " ", count: missing) }
        if verb.zero {
            let sign = text.first == "-" || text.first == "+" ? 1 : 0
            return text.prefix(sign) + String(repeating: "0", count: missing) + text.dropFirst(sign)
        }
        return String(repeating: " ", count: missing) + text
    }

    private static func goType(_ value: Value) -> String { value.isNull ? "<nil>" : value.typeName }

    private static func wrong(_ value: Value, _ letter: Character) -> String {
        value.isNull ? "%!\(letter)(<nil>)" : "%!\(letter)(\(goType(value))=\(TextForm.text(value)))"
    }

    private static func text(_ value: Value, _ letter: Character, _ verb: Verb) -> String {
        switch (letter, value) {
        case ("T", _): return goType(value)
        // The elements of a list that a statement made; one that came is shown as a whole.
        case (_, .list(.items(let items))):
            var verb = verb
            // A width may ask for a million characters, not for as many with each element.
            verb.width = verb.width.map { min($0, widthMax / max(1, items.count)) }
            return "[" + items.map { pad(text($0, letter, verb), verb) }.joined(separator: " ") + "]"
        case ("v", .int): return text(value, "d", verb)
        case ("v", .double): return text(value, "g", verb)
        case ("v", .string): return text(value, "s", verb)
        case ("v", _): return TextForm.text(value)
        case ("s", .string(let bytes)), ("s", .bytes(let bytes)): return cut(bytes.text, verb)
        case ("q", .string(let bytes)), ("q", .bytes(let bytes)): return quoted(cut(bytes.text, verb))
        case ("x", .string(let bytes)), ("x", .bytes(let bytes)): return TextForm.hex(bytes.array)
        case ("X", .string(let bytes)), ("X", .bytes(let bytes)):
            return TextForm.hex(bytes.array).uppercased()
        case ("s", .list), ("s", .map), ("s", .time), ("s", .duration), ("s", .traceID), ("s", .spanID):
            return TextForm.text(value)
        case ("t", .bool): return TextForm.text(value)
        case (_, .int(let number)): return integer(number, letter, verb) ?? wrong(value, letter)
        case (_, .double(let number)): return float(number, letter, verb) ?? wrong(value, letter)
        case ("d", .duration(let duration)): return "\(duration.count)"
        default: return wrong(value, letter)
        }
    }

    private static func cut(_ text: String, _ verb: Verb) -> String {
        verb.precision.map { String(String.UnicodeScalarView(text.unicodeScalars.prefix($0))) } ?? text
    }

    private static func signed(_ text: String, _ verb: Verb) -> String {
        guard text.first != "-", text.first != "+" else { return text }
        return verb.plus ? "+" + text : verb.space ? " " + text : text
    }

    private static func integer(_ number: Int64, _ letter: Character, _ verb: Verb) -> String? {
        let radix: (Int, String)? =
            switch letter {
            case "d": (10, "")
            case "x", "X": (16, "0x")
            case "o": (8, "0")
            case "O": (8, "0o")
            case "b": (2, "0b")
            default: nil
            }
        if letter == "c" {
            return UnicodeScalar(UInt32(truncatingIfNeeded: number)).map { String(Character($0)) }
                ?? "\u{FFFD}"
        }
        if letter == "q" {
            return UnicodeScalar(UInt32(truncatingIfNeeded: number)).map { "'\(Character($0))'" }
                ?? "'\u{FFFD}'"
        }
        if letter == "U" {
            let digits = String(number, radix: 16, uppercase: true)
            return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        }
        guard let radix else { return nil }
        var digits = String(number.magnitude, radix: radix.0, uppercase: letter == "X")
        if let precision = verb.precision, digits.count < precision {
            digits = String(repeating: "0", count: precision - digits.count) + digits
        }
        if verb.sharp || letter == "O" { digits = radix.1 + digits }
        return signed((number < 0 ? "-" : "") + digits, verb)
    }

    private static func float(_ number: Double, _ letter: Character, _ verb: Verb) -> String? {
        guard "feEgGF".contains(letter) else { return nil }
        guard number.isFinite else { return signed(TextForm.general(number), verb) }
        switch letter {
        case "f", "F": return signed(Decimals.fixed(number, verb.precision ?? 6), verb)
        case "e", "E":
            let text = Decimals.scientific(number, verb.precision ?? 6)
            return signed(letter == "E" ? text.uppercased() : text, verb)
        default:
            let text = verb.precision.map { Decimals.general(number, max($0, 1)) } ?? TextForm.general(number)
            return signed(letter == "G" ? text.uppercased() : text, verb)
        }
    }

    /// In double quotes, as `%q`.
    static func quoted(_ text: String) -> String {
        var output = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                output += "\\x" + (digits.count == 1 ? "0" : "") + digits
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output + "\""
    }
}
