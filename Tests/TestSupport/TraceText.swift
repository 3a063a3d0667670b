package import OTLP

/// A request of traces as lines: resources, scopes behind one space, spans behind two, what they have behind three.
package enum TraceText {
    package static func lines(_ request: WireBytes) -> [String] {
        var lines: [String] = []
        for resource in request.fields where resource.number == 1 {
            lines.append(MetricLines.labels(resource.bytes.message(1), 1))
            for scope in resource.bytes.fields where scope.number == 2 {
                let about = scope.bytes.message(1)
                let version = about.message(2).text
                lines.append(" " + about.message(1).text + (version.isEmpty ? "" : " " + version))
                for span in scope.bytes.fields where span.number == 2 { lines += self.span(span.bytes) }
            }
        }
        return lines
    }

    private static func span(_ span: WireBytes) -> [String] {
        func bits(_ message: WireBytes, _ number: UInt32) -> UInt64 {
            message.fields.filter { $0.number == number }.last?.bits ?? 0
        }
        let parent = hex(span.message(4))
        let state = span.message(3).text
        let status = span.message(15)
        var line = "  \(hex(span.message(1)))/\(hex(span.message(2)))"
        if !parent.isEmpty { line += " parent=\(parent)" }
        line += " '\(span.message(5).text)' kind=\(bits(span, 6)) \(bits(span, 7))-\(bits(span, 8)) "
        line += MetricLines.labels(span, 9)
        if !state.isEmpty { line += " state=\(state)" }
        if status.count > 0 { line += " status=\(bits(status, 3))" }
        if status.message(2).count > 0 { line += " " + status.message(2).text }
        var lines = [line]
        for event in span.fields where event.number == 11 {
            let dropped = bits(event.bytes, 4)
            lines.append(
                "   \(bits(event.bytes, 1)) '\(event.bytes.message(2).text)' \(MetricLines.labels(event.bytes, 3))"
                    + (dropped > 0 ? " dropped=\(dropped)" : ""))
        }
        for link in span.fields where link.number == 13 {
            let state = link.bytes.message(3).text
            lines.append(
                "   -> \(hex(link.bytes.message(1)))/\(hex(link.bytes.message(2))) "
                    + MetricLines.labels(link.bytes, 4) + (state.isEmpty ? "" : " state=\(state)"))
        }
        return lines
    }

    private static func hex(_ bytes: WireBytes) -> String {
        bytes.array.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
