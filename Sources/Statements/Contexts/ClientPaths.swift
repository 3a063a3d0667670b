/// The paths of `otelcol`: what the client sent beside the data. They cannot be set.
enum ClientPaths {
    static func find(_ names: [String], _ shown: String) -> Paths.Found? {
        switch names.prefix(2).joined(separator: ".") {
        case "client.addr":
            return Paths.Found(
                path: Fields.readOnly(shown) { frame in frame.client?.address.map { .text($0) } ?? .null },
                segments: 2)
        case "client.metadata", "grpc.metadata":
            return Paths.Found(path: ClientMetadataPath(shown), segments: 2, isIndexable: true)
        case "client.auth" where names.count > 2 && names[2] == "attributes":
            return Paths.Found(path: EmptyPath(shown), segments: 3, isIndexable: true)
        default: return nil
        }
    }
}

/// Header fields: each name with the list of its values, whatever its case.
private final class ClientMetadataPath: PathExpression {
    override func evaluate(_ frame: Frame) -> Value {
        var entries: [(name: String, values: [Value])] = []
        for field in frame.client?.fields ?? [] {
            if let index = entries.firstIndex(where: { $0.name == field.name }) {
                entries[index].values.append(.text(field.value))
            } else {
                entries.append((field.name, [.text(field.value)]))
            }
        }
        return .map(.entries(entries.map { MapEntry(key: Bytes($0.name), value: .list(.items($0.values))) }))
    }

    override func value(of key: Bytes, _ frame: Frame) -> Value {
        let name = key.text.lowercased()
        let values = (frame.client?.fields ?? []).filter { $0.name == name }.map { Value.text($0.value) }
        return values.isEmpty ? .null : .list(.items(values))
    }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        throw EvaluationError("\"\(shown)\" is read-only and cannot be modified")
    }
}

/// A map that is always empty: no authenticator gives attributes.
private final class EmptyPath: PathExpression {
    override func evaluate(_ frame: Frame) -> Value { .map(.entries([])) }

    override func set(_ value: Value, _ frame: Frame) throws(EvaluationError) {
        throw EvaluationError("\"\(shown)\" is read-only and cannot be modified")
    }
}
