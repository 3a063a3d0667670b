internal import Configuration

/// What the gateway says that it is: `service.name`, `service.version`, `service.instance.id`, and what
/// `service::telemetry::resource` adds, sets, or with nothing takes away.
struct OwnResource: Sendable {
    /// In the order of their names.
    let attributes: [(name: String, value: String)]
    /// Another one for every start.
    let instanceID: String

    init(_ config: TelemetryConfig, version: String) {
        instanceID = Self.randomUUID()
        var values = [
            "service.name": "sluice", "service.version": version, "service.instance.id": instanceID,
        ]
        for attribute in config.resource { values[attribute.name] = attribute.value }
        attributes = values.map { (name: $0.key, value: $0.value) }.sorted { $0.name < $1.name }
    }

    /// The attributes that `with_resource_constant_labels` makes labels of every series.
    func constantLabels(_ choice: MetricsTelemetryConfig.ResourceLabels?) -> [(name: String, value: String)] {
        guard let choice else { return [] }
        return attributes.filter { attribute in
            choice.included.contains { Self.matches(attribute.name, $0) }
                && !choice.excluded.contains { Self.matches(attribute.name, $0) }
        }
    }

    /// Whether a name is what a pattern says: `*` is any text, `?` one character.
    private static func matches(_ name: String, _ pattern: String) -> Bool {
        let (name, pattern) = (Array(name.unicodeScalars), Array(pattern.unicodeScalars))
        var (at, place) = (0, 0)
        var star: (pattern: Int, name: Int)?
        while at < name.count {
            if place < pattern.count, pattern[place] == "*" {
                star = (place, at)
                place += 1
            } else if place < pattern.count, pattern[place] == "?" || pattern[place] == name[at] {
                at += 1
                place += 1
            } else if let last = star {
                star = (last.pattern, last.name + 1)
                place = last.pattern + 1
                at = last.name + 1
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == "*" }
    }

    /// RFC 9562, version 4.
    private static func randomUUID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0 ... .max) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            let digits = String(byte, radix: 16)
            text += digits.count == 1 ? "0" + digits : digits
        }
        return text
    }
}
