internal import OTLP

/// An exemplar of a counter or a bucket: where the latest trace is that counted there.
struct ExemplarSlot: ~Copyable {
    /// Bits of a double.
    var value: UInt64 = 0
    /// Nanoseconds since 1970; 0 when unknown.
    var time: UInt64 = 0
    /// `trace_id="…",…` as text formats write it; without, there is no exemplar.
    var labels = OwnedRun<UInt8>()

    var isEmpty: Bool { labels.count == 0 }
}

/// An exemplar as it is read from a point.
struct Exemplar {
    /// What a set of an exemplar's labels may have at most, in characters of names and values.
    static let labelCharactersMax = 128

    let value: Double
    let time: UInt64
    /// As text formats write them; empty when there is none.
    let labels: [UInt8]

    /// Reads an `Exemplar` message; nil when it has no value or no labels.
    init?(_ message: WireBytes, namer: MetricNamer) {
        var value: Double?
        var time: UInt64 = 0
        var traceID = WireBytes.none
        var spanID = WireBytes.none
        for field in message.fields {
            switch field.number {
            case Field.Exemplar.asDouble: value = field.double
            case Field.Exemplar.asInt: value = Double(Int64(bitPattern: field.bits))
            case Field.Exemplar.time: time = field.bits
            case Field.Exemplar.traceID: traceID = field.bytes
            case Field.Exemplar.spanID: spanID = field.bytes
            default: break
            }
        }
        guard let value else { return nil }
        var labels: [Label] = []
        var characters = 0
        for (name, id) in [("trace_id", traceID), ("span_id", spanID)] where id.hasBits {
            var hex: [UInt8] = []
            hex.appendHex(id)
            guard characters + name.utf8.count + hex.count <= Self.labelCharactersMax else { continue }
            characters += name.utf8.count + hex.count
            labels.append(Label(name: name, value: hex))
        }
        for (key, text) in LabelMaker.attributes(message, Field.Exemplar.filteredAttributes)
        where !text.isEmpty {
            guard let name = namer.labelName(String(decoding: key, as: UTF8.self)),
                !labels.contains(where: { $0.name == name })
            else { continue }
            let count = name.unicodeScalars.count + String(decoding: text, as: UTF8.self).unicodeScalars.count
            guard characters + count <= Self.labelCharactersMax else { continue }
            characters += count
            labels.append(Label(name: name, value: text))
        }
        guard !labels.isEmpty else { return nil }
        self.value = value
        self.time = time
        self.labels = LabelMaker.text(labels).text
    }
}

extension WireBytes {
    /// Whether any bit is set: an id of zeros is none.
    fileprivate var hasBits: Bool {
        (0..<count).contains { self[$0] != 0 }
    }
}
