internal import OTLP

/// An exemplar as remote write carries it.
struct RemoteExemplar {
    let value: Double
    /// Milliseconds since 1970.
    let time: Int64
    let labels: [Label]

    /// What the labels may have at most, in characters of names and values.
    private static let labelCharactersMax = 128

    /// Reads an `Exemplar` message; nil when it has no value.
    init?(_ message: WireBytes, namer: MetricNamer) {
        var value: Double?
        var time: UInt64 = 0
        var labels: [Label] = []
        for field in message.fields {
            switch field.number {
            case Field.Exemplar.asDouble: value = field.double
            case Field.Exemplar.asInt: value = Double(field.int64)
            case Field.Exemplar.time: time = field.bits
            case Field.Exemplar.traceID: Self.add("trace_id", field.bytes, to: &labels)
            case Field.Exemplar.spanID: Self.add("span_id", field.bytes, to: &labels)
            default: break
            }
        }
        guard let value else { return nil }
        var filtered: [Label] = []
        for (key, text) in LabelMaker.attributes(message, Field.Exemplar.filteredAttributes) {
            guard !text.isEmpty, let name = namer.labelName(String(decoding: key, as: UTF8.self)) else {
                continue
            }
            filtered.append(Label(name: name, value: text))
        }
        // All of them or none, as in the Collector.
        let characters = (labels + filtered).reduce(0) {
            $0 + $1.name.unicodeScalars.count + String(decoding: $1.value, as: UTF8.self).unicodeScalars.count
        }
        if characters <= Self.labelCharactersMax { labels += filtered }
        self.value = value
        self.time = Int64(time / 1_000_000)
        self.labels = labels.sorted { $0.name.utf8Precedes($1.name) }
    }

    private static func add(_ name: String, _ id: WireBytes, to labels: inout [Label]) {
        guard (0..<id.count).contains(where: { id[$0] != 0 }) else { return }
        var hex: [UInt8] = []
        hex.appendHex(id)
        labels.append(Label(name: name, value: hex))
    }
}
