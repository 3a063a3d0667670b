internal import OTLP

// Log records as text.

extension TextWriter {
    /// `body key=value …`.
    mutating func normalLogRecord(_ message: WireBytes) {
        appendText(AttributeValue(message.content(Field.LogRecord.body)))
        put(" ")
        attributePairs(message, Field.LogRecord.attributes, before: "")
        endLine()
    }

    mutating func detailedLogRecord(_ message: WireBytes, _ index: Int) {
        line("LogRecord #\(index)")
        put("ObservedTimestamp: ")
        time(message.last(Field.LogRecord.observedTime)?.bits ?? 0)
        endLine()
        put("Timestamp: ")
        time(message.last(Field.LogRecord.time)?.bits ?? 0)
        endLine()
        line("SeverityText: ", message.content(Field.LogRecord.severityText))
        let severity = message.last(Field.LogRecord.severityNumber)?.enumeration ?? 0
        line("SeverityNumber: \(severityName(severity))(\(severity))")
        let eventName = message.content(Field.LogRecord.eventName)
        if eventName.count > 0 { line("EventName: ", eventName) }
        put("Body: ")
        typedValue(AttributeValue(message.content(Field.LogRecord.body)))
        endLine()
        attributeLines("Attributes", message, Field.LogRecord.attributes)
        put("Trace ID: ")
        hex(message.content(Field.LogRecord.traceID))
        endLine()
        put("Span ID: ")
        hex(message.content(Field.LogRecord.spanID))
        endLine()
        line("Flags: \(message.uint32(Field.LogRecord.flags))")
    }
}

/// Four of each of six names, from 1; nothing for a number beyond.
private func severityName(_ number: Int32) -> String {
    guard number != 0 else { return "Unspecified" }
    guard (1...24).contains(number) else { return "" }
    let names = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"]
    let step = (Int(number) - 1) % 4
    return names[(Int(number) - 1) / 4] + (step == 0 ? "" : String(step + 1))
}
