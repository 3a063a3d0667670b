internal import Configuration
internal import Pipeline

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
            choice.included.contains { attribute.name.matches(wildcards: $0) }
                && !choice.excluded.contains { attribute.name.matches(wildcards: $0) }
        }
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
