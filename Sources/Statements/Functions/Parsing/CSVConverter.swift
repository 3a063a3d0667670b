/// `ParseCSV`: one row of a table as a map.
enum CSVConverter {
    private enum Mode: String {
        case strict, lazyQuotes, ignoreQuotes
    }

    /// What a short field takes.
    private static let bytesOfField = 72

    static var function: Function {
        Function(
            "ParseCSV",
            [
                .required("target", .string), .required("header", .string),
                .optional("delimiter", .literalString),
                .optional("header_delimiter", .literalString), .optional("mode", .literalString),
            ]
        ) { arguments throws(FunctionError) in
            let (target, header) = (arguments.expression(0), arguments.expression(1))
            let delimiter = arguments.text(2) ?? ","
            guard delimiter.unicodeScalars.count == 1 else {
                throw FunctionError("invalid arguments: delimiter must be a single character")
            }
            let headerDelimiter = arguments.text(3) ?? delimiter
            guard headerDelimiter.unicodeScalars.count == 1 else {
                throw FunctionError("invalid arguments: header_delimiter must be a single character")
            }
            guard let mode = Mode(rawValue: arguments.text(4) ?? "strict") else {
                throw FunctionError("unknown mode: \(arguments.text(4) ?? "")")
            }
            return { frame throws(EvaluationError) in
                let text = try target.evaluate(frame).asString().array
                let header = try header.evaluate(frame).asString()
                guard header.count > 0 else { throw EvaluationError("headers must not be an empty string") }
                let (headerBytes, separator) = (header.array, Array(headerDelimiter.utf8))
                let nameCount = headerBytes.partCount(by: separator)
                let fieldCount = text.partCount(by: Array(delimiter.utf8))
                let lines = unsafe text.withUnsafeBytes { unsafe $0.count(10) }
                try frame.ask(
                    making: nameCount + fieldCount + lines, bytesOfEach: bytesOfField,
                    copying: min(nameCount, fieldCount) * MapBuilder.bytesOfEntry + 2
                        * (text.count + headerBytes.count))
                let names = headerBytes.split(by: separator)
                let fields: [[UInt8]]
                if mode == .ignoreQuotes {
                    fields = text.split(by: Array(delimiter.utf8))
                } else {
                    fields = try CSVReader.row(text, Array(delimiter.utf8), isLazy: mode == .lazyQuotes)
                }
                guard fields.count == names.count else {
                    throw EvaluationError(
                        "map csv headers: wrong number of fields: expected \(names.count), found \(fields.count)"
                    )
                }
                var entries = MapBuilder()
                for (name, field) in zip(names, fields) { entries.put(.owned(name), .string(.owned(field))) }
                return .map(.entries(entries.entries))
            }
        }
    }
}

/// Reads as Go's `encoding/csv` (RFC 4180). Several lines are one row whose last field goes on in the next line.
private struct CSVReader {
    private let lines: [[UInt8]]
    private let delimiter: [UInt8]
    private let isLazy: Bool
    private var line = 0

    static func row(
        _ text: [UInt8], _ delimiter: [UInt8], isLazy: Bool
    ) throws(EvaluationError) -> [[UInt8]] {
        var reader = CSVReader(text, delimiter, isLazy: isLazy)
        guard var row = try reader.record() else { throw EvaluationError("no csv lines found") }
        while let record = try reader.record() {
            // In place: a text may have a million lines.
            row[row.count - 1].append(10)
            row[row.count - 1] += record.first ?? []
            row += record.dropFirst()
        }
        return row
    }

    private init(_ text: [UInt8], _ delimiter: [UInt8], isLazy: Bool) {
        var lines: [[UInt8]] = []
        var start = 0
        while start < text.count {
            var end = start
            while end < text.count, text[end] != 10 { end += 1 }
            var line = Array(text[start..<end])
            // `\r\n` is `\n`; a `\r` at the end of all is none.
            if line.last == 13 { line.removeLast() }
            if end < text.count { line.append(10) }
            lines.append(line)
            start = end + 1
        }
        (self.lines, self.delimiter, self.isLazy) = (lines, delimiter, isLazy)
    }

    private func hasPrefix(_ bytes: ArraySlice<UInt8>, _ prefix: [UInt8]) -> Bool {
        bytes.starts(with: prefix)
    }

    private func content(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        line.last == 10 ? line.dropLast() : line
    }

    /// The next record; nil at the end. What was read before a misplaced quote counts.
    private mutating func record() throws(EvaluationError) -> [[UInt8]]? {
        while line < lines.count, content(lines[line][...]).isEmpty { line += 1 }
        guard line < lines.count else { return nil }
        var rest = lines[line][...]
        line += 1
        var fields: [[UInt8]] = []
        while true {
            guard rest.first == UInt8(ascii: "\"") else {
                let end = rest.firstRange(of: delimiter)
                let field = content(end.map { rest[..<$0.lowerBound] } ?? rest)
                if !isLazy, field.contains(UInt8(ascii: "\"")) {
                    return try partial(fields, "bare \" in non-quoted field")
                }
                fields.append(Array(field))
                guard let end else { return fields }
                rest = rest[end.upperBound...]
                continue
            }
            rest = rest.dropFirst()
            var field: [UInt8] = []
            guard try quoted(&rest, &field) else {
                return try partial(fields, "extraneous or missing \" in quoted-field")
            }
            fields.append(field)
            guard hasPrefix(rest, delimiter) else { return fields }
            rest = rest.dropFirst(delimiter.count)
        }
    }

    private func partial(_ fields: [[UInt8]], _ message: String) throws(EvaluationError) -> [[UInt8]] {
        guard !fields.isEmpty else {
            throw EvaluationError("read csv line: parse error on line \(line), column 1: \(message)")
        }
        return fields
    }

    /// A field up to its closing quote, through further lines; false for a misplaced quote.
    private mutating func quoted(_ rest: inout ArraySlice<UInt8>, _ field: inout [UInt8])
        throws(EvaluationError) -> Bool
    {
        let quote = UInt8(ascii: "\"")
        while true {
            guard let end = rest.firstIndex(of: quote) else {
                field += rest
                guard line < lines.count else {
                    rest = []
                    return isLazy
                }
                rest = lines[line][...]
                line += 1
                continue
            }
            field += rest[..<end]
            rest = rest[(end + 1)...]
            if rest.first == quote {
                field.append(quote)
                rest = rest.dropFirst()
            } else if hasPrefix(rest, delimiter) || content(rest).isEmpty {
                return true
            } else if isLazy {
                field.append(quote)
            } else {
                return false
            }
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate func firstRange(of other: [UInt8]) -> Range<Int>? {
        var index = startIndex
        while index + other.count <= endIndex {
            if self[index...].starts(with: other) { return index..<index + other.count }
            index += 1
        }
        return nil
    }
}
