/// Line formats of logs: CEF, LEEF, the common and combined log formats, ELF.
enum LogFormatConverters {
    static var all: [Function] {
        [
            Converters.text("ParseCEF") { text throws(EvaluationError) in try cef(text) },
            Converters.text("ParseLEEF") { text throws(EvaluationError) in try leef(text) },
            Function("ParseCLF", [.required("target", .string), .optional("format", .literalString)]) {
                arguments throws(FunctionError) in
                let (target, format) = (arguments.expression(0), arguments.text(1) ?? "clf")
                guard format == "clf" || format == "combined" else {
                    throw FunctionError("invalid format \(format), must be 'clf' or 'combined'")
                }
                return { frame throws(EvaluationError) in
                    try clf(target.evaluate(frame).asString().text, isCombined: format == "combined")
                }
            },
            Function("ParseELF", [.required("target", .string), .required("fields", .string)]) { arguments in
                let (target, fields) = (arguments.expression(0), arguments.expression(1))
                return { frame throws(EvaluationError) in
                    try elf(target.evaluate(frame).asString().text, fields.evaluate(frame).asString().text)
                }
            },
        ]
    }

    /// The parts between bars of a header; `\|` and `\\` are escapes.
    private static func header(_ text: Substring, _ count: Int) -> (parts: [String], rest: Substring)? {
        var parts: [String] = []
        var part = ""
        var index = text.startIndex
        while index < text.endIndex {
            let character = text[index]
            index = text.index(after: index)
            if character == "\\", index < text.endIndex {
                part.append(text[index])
                index = text.index(after: index)
            } else if character == "|" {
                parts.append(part)
                part = ""
                if parts.count == count { return (parts, text[index...]) }
            } else {
                part.append(character)
            }
        }
        return nil
    }

    private static func cef(_ text: String) throws(EvaluationError) -> Value {
        guard let start = text.firstRange(of: "CEF:"),
            let (parts, rest) = header(text[start.upperBound...], 7)
        else { throw EvaluationError("invalid CEF message: a header of CEF: and 7 parts with | is needed") }
        var entries: [MapEntry] = []
        let names = [
            "version", "device_vendor", "device_product", "device_version", "device_event_class_id", "name",
            "severity",
        ]
        for (name, part) in zip(names, parts) { entries.put(name, .text(part)) }
        entries.put("extensions", .map(.entries(cefExtensions(rest))))
        return .map(.entries(entries))
    }

    /// `key=value` with spaces in values: a key is the word before each `=` that is not escaped.
    private static func cefExtensions(_ text: Substring) -> [MapEntry] {
        var entries = MapBuilder()
        var key: String?
        var value = ""
        func finished() -> String { String(value.reversed().drop { $0 == " " }.reversed()) }
        var index = text.startIndex
        while index < text.endIndex {
            let character = text[index]
            index = text.index(after: index)
            if character == "\\", index < text.endIndex {
                let next = text[index]
                index = text.index(after: index)
                switch next {
                case "n": value.append("\n")
                case "r": value.append("\r")
                case "=", "\\", "|": value.append(next)
                default: value += "\\" + String(next)
                }
            } else if character == "=" {
                let name = value.reversed().prefix { $0 != " " }.reversed()
                value.removeLast(name.count)
                if let key { entries.put(key, .text(finished())) }
                key = String(name)
                value = ""
            } else {
                value.append(character)
            }
        }
        if let key { entries.put(key, .text(finished())) }
        return entries.entries
    }

    private static func leef(_ text: String) throws(EvaluationError) -> Value {
        let invalid = EvaluationError("invalid LEEF message: a header of LEEF: and parts with | is needed")
        guard let start = text.firstRange(of: "LEEF:") else { throw invalid }
        let body = text[start.upperBound...]
        let isSecond = body.hasPrefix("2")
        guard let (parts, rest) = header(body, isSecond ? 6 : 5) else { throw invalid }
        var entries: [MapEntry] = []
        for (name, part) in zip(["version", "vendor", "product_name", "product_version", "event_id"], parts) {
            entries.put(name, .text(part))
        }
        var delimiter: Character = "\t"
        if isSecond, let given = parts.last, !given.isEmpty {
            let hex =
                given.hasPrefix("0x") ? given.dropFirst(2) : given.hasPrefix("x") ? given.dropFirst(1) : ""
            if let code = UInt32(hex, radix: 16), let scalar = Unicode.Scalar(code) {
                delimiter = Character(scalar)
            } else if given.count == 1 {
                delimiter = Character(given)
            } else {
                throw EvaluationError("invalid LEEF delimiter: \(given)")
            }
        }
        var attributes = MapBuilder()
        for pair in rest.split(separator: delimiter) {
            guard let equals = pair.firstIndex(of: "=") else { continue }
            attributes.put(String(pair[..<equals]), .text(String(pair[pair.index(after: equals)...])))
        }
        entries.put("attributes", .map(.entries(attributes.entries)))
        return .map(.entries(entries))
    }

    private static func clf(_ text: String, isCombined: Bool) throws(EvaluationError) -> Value {
        let words = try words(text)
        guard words.count == (isCombined ? 9 : 7) else {
            throw EvaluationError(
                "invalid \(isCombined ? "combined" : "common") log format: expected \(isCombined ? 9 : 7) parts, found \(words.count)"
            )
        }
        var entries: [MapEntry] = []
        func put(_ name: String, _ text: String) {
            if text != "-" { entries.put(name, .text(text)) }
        }
        func put(number name: String, _ text: String) throws(EvaluationError) {
            guard text != "-" else { return }
            guard let value = Int64(goDecimal: Array(text.utf8)) else {
                throw EvaluationError("invalid common log format: \(name) is no number: \(text)")
            }
            entries.put(name, .int(value))
        }
        put("remote_host", words[0])
        put("rfc931", words[1])
        put("auth_user", words[2])
        put("timestamp", words[3])
        put("request", words[4])
        let request = words[4].split(separator: " ").map(String.init)
        if request.count == 3 {
            put("method", request[0])
            put("path", request[1])
            put("protocol", request[2])
        }
        try put(number: "status", words[5])
        try put(number: "bytes", words[6])
        if isCombined {
            put("referer", words[7])
            put("user_agent", words[8])
        }
        return .map(.entries(entries))
    }

    /// Words between spaces; quotes and square brackets hold words together.
    private static func words(_ text: String) throws(EvaluationError) -> [String] {
        var words: [String] = []
        var rest = Substring(text)
        while true {
            rest = rest.drop { $0 == " " }
            guard let first = rest.first else { return words }
            guard first == "\"" || first == "[" else {
                let word = rest.prefix { $0 != " " }
                words.append(String(word))
                rest = rest[word.endIndex...]
                continue
            }
            let close: Character = first == "[" ? "]" : "\""
            rest = rest.dropFirst()
            var word = ""
            while let character = rest.first, character != close {
                rest = rest.dropFirst()
                if character == "\\", let next = rest.first {
                    word.append(next)
                    rest = rest.dropFirst()
                } else {
                    word.append(character)
                }
            }
            guard !rest.isEmpty else { throw EvaluationError("invalid log line: \(close) is missing") }
            rest = rest.dropFirst()
            words.append(word)
        }
    }

    private static func elf(_ text: String, _ fields: String) throws(EvaluationError) -> Value {
        var names = fields.split(separator: " ").map(String.init)
        if names.first == "#Fields:" { names.removeFirst() }
        let words = try words(text)
        guard words.count == names.count else {
            throw EvaluationError(
                "invalid extended log format: expected \(names.count) fields, found \(words.count)")
        }
        var entries = MapBuilder()
        for (name, word) in zip(names, words) where word != "-" { entries.put(name, .text(word)) }
        return .map(.entries(entries.entries))
    }
}

extension String {
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
