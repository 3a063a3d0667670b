internal import Logging
internal import Pipeline

// The text of one log line. Pure: settings and an event in, bytes out.

/// What a line is made of.
struct LogLine {
    var unixMilliseconds: Int64
    var level: Logger.Level
    var message: String
    /// `Module/File.swift:12`, or nil to leave it out.
    var caller: String?
    var fields: Logger.Metadata

    /// `time TAB level [TAB caller] TAB message [TAB {fields}] LF`; control characters are escaped, so that one
    /// message is one line, unless it is one whose line ends are to be kept.
    func console(keepingLineEnds: Bool = false) -> [UInt8] {
        var line: [UInt8] = []
        line += UTCTime(unixMilliseconds: unixMilliseconds).iso8601Milliseconds.utf8
        line += "\t\(level.collectorName)\t".utf8
        if let caller {
            line += "\(caller)\t".utf8
        }
        appendEscaped(message, quotes: false, keepingLineEnds: keepingLineEnds, to: &line)
        if !fields.isEmpty {
            line.append(UInt8(ascii: "\t"))
            appendObject(fields, spaces: true, to: &line)
        }
        line.append(UInt8(ascii: "\n"))
        return line
    }

    /// `{"level":…,"ts":…,["caller":…,]"msg":…,fields…} LF`.
    func json() -> [UInt8] {
        var line: [UInt8] = []
        line += "{\"level\":\"\(level.collectorName)\",\"ts\":\"".utf8
        line += UTCTime(unixMilliseconds: unixMilliseconds).iso8601Milliseconds.utf8
        line += "\"".utf8
        if let caller {
            line += ",\"caller\":".utf8
            appendString(caller, to: &line)
        }
        line += ",\"msg\":".utf8
        appendString(message, to: &line)
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line.append(UInt8(ascii: ","))
            appendString(key, to: &line)
            line.append(UInt8(ascii: ":"))
            appendValue(value, spaces: false, to: &line)
        }
        line += "}\n".utf8
        return line
    }
}

// MARK: - JSON

private func appendObject(_ fields: Logger.Metadata, spaces: Bool, to line: inout [UInt8]) {
    line.append(UInt8(ascii: "{"))
    for (index, (key, value)) in fields.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { line += (spaces ? ", " : ",").utf8 }
        appendString(key, to: &line)
        line += (spaces ? ": " : ":").utf8
        appendValue(value, spaces: spaces, to: &line)
    }
    line.append(UInt8(ascii: "}"))
}

/// Numbers and truth values as such, everything else as text.
private func appendValue(_ value: Logger.Metadata.Value, spaces: Bool, to line: inout [UInt8]) {
    switch value {
    case .string(let text):
        appendString(text, to: &line)
    case .stringConvertible(let value):
        switch value {
        case let number as any BinaryInteger: line += String(describing: number).utf8
        case let number as Double where number.isFinite: line += number.description.utf8
        case let truth as Bool: line += (truth ? "true" : "false").utf8
        default: appendString(value.description, to: &line)
        }
    case .dictionary(let fields):
        appendObject(fields, spaces: spaces, to: &line)
    case .array(let values):
        line.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { line += (spaces ? ", " : ",").utf8 }
            appendValue(value, spaces: spaces, to: &line)
        }
        line.append(UInt8(ascii: "]"))
    }
}

private func appendString(_ text: String, to line: inout [UInt8]) {
    line.append(UInt8(ascii: "\""))
    appendEscaped(text, quotes: true, to: &line)
    line.append(UInt8(ascii: "\""))
}

/// Control characters as JSON escapes, and quotes and backslashes too when `quotes`.
private func appendEscaped(
    _ text: String, quotes: Bool, keepingLineEnds: Bool = false, to line: inout [UInt8]
) {
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "\"") where quotes, UInt8(ascii: "\\") where quotes:
            line.append(UInt8(ascii: "\\"))
            line.append(byte)
        case UInt8(ascii: "\n") where !keepingLineEnds:
            line += "\\n".utf8
        case UInt8(ascii: "\r"):
            line += "\\r".utf8
        case UInt8(ascii: "\t"):
            line += "\\t".utf8
        case 0..<0x0a, 0x0b..<0x20, 0x7f:
            let digits = String(byte, radix: 16)
            line += (digits.utf8.count == 1 ? "\\u000" : "\\u00").utf8
            line += digits.utf8
        default:
            line.append(byte)
        }
    }
}
