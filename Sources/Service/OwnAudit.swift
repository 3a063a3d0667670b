internal import AuditExporter
internal import Configuration
internal import Hashing
internal import OTLP
internal import Pipeline

/// The gateway's own audit events: `service::audit`. Any thread.
struct OwnAudit: Sendable {
    private let exporter: AuditExporter
    private let version: String
    private let running: String

    /// - Parameters:
    ///   - configuration: the running one, in JSON without secrets.
    ///   - refused: says which clients were turned away.
    init(
        _ exporter: AuditExporter, version: String, configuration: String, refused: RefusedClients
    ) {
        self.exporter = exporter
        self.version = version
        running = configuration
        refused.tell { [weak exporter] in exporter?.record(Self.event(of: $0), boundedAs: $0.component) }
    }

    private static func event(of client: RefusedClients.Client) -> OwnEvent {
        var attributes: [(key: String, text: String)] = [
            ("otelcol.component.id", client.component), ("otelcol.component.kind", client.kind.rawValue),
            ("sluice.refusal.reason", client.reason),
        ]
        if let address = client.address { attributes.append(("client.address", address)) }
        return OwnEvent(
            "sluice.client.authenticate", action: "AUTHENTICATE", outcome: "failure", attributes)
    }

    func started() {
        exporter.record(
            OwnEvent(
                "sluice.config.load", action: "LOAD",
                [
                    ("sluice.config.hash", Self.hash(running)),
                    ("sluice.config.keys", Self.list(Self.flattened(running).map(\.path))),
                ]))
        exporter.record(OwnEvent("sluice.gateway.start", action: "START", [("sluice.version", version)]))
    }

    func stopping() {
        exporter.record(OwnEvent("sluice.gateway.stop", action: "STOP", [("sluice.version", version)]))
    }

    /// - Parameter changed: what is in the files now; nil when that is no configuration.
    func reloadRefused(_ changed: String?) {
        var attributes: [(key: String, text: String)] = [
            ("sluice.config.hash", Self.hash(running)), ("sluice.config.valid", "\(changed != nil)"),
        ]
        func add(_ key: String, _ paths: [String]) {
            if !paths.isEmpty { attributes.append((key, Self.list(paths))) }
        }
        if let changed {
            let (old, new) = (Self.flattened(running), Self.flattened(changed))
            let olds = Dictionary(old.map { ($0.path, $0.value) }) { one, _ in one }
            let news = Dictionary(new.map { ($0.path, $0.value) }) { one, _ in one }
            attributes.append(("sluice.config.refused_hash", Self.hash(changed)))
            add("sluice.config.added", new.map(\.path).filter { olds[$0] == nil })
            add("sluice.config.removed", old.map(\.path).filter { news[$0] == nil })
            add(
                "sluice.config.changed",
                new.filter { olds[$0.path] != nil && olds[$0.path] != $0.value }.map(\.path))
        }
        exporter.record(
            OwnEvent("sluice.config.reload", action: "RELOAD", outcome: "failure", attributes))
    }

    private static func hash(_ text: String) -> String { "\(Hash256(of: Array(text.utf8)))" }

    /// Bytes of a list of keys: an event has 64 KiB.
    private static let listBytesMax = 12_000

    private static func list(_ paths: [String]) -> String {
        var text = ""
        for (index, path) in paths.enumerated() {
            guard text.utf8.count + path.utf8.count < listBytesMax else {
                return text + " and \(paths.count - index) more"
            }
            text += (text.isEmpty ? "" : " ") + path
        }
        return text
    }

    /// Every scalar with the keys that lead to it.
    private static func flattened(_ json: String) -> [(path: String, value: String)] {
        var found: [(path: String, value: String)] = []
        func add(_ tree: JSONTree, _ path: String) {
            switch tree {
            case .object(let entries):
                for entry in entries { add(entry.value, path.isEmpty ? entry.key : "\(path)::\(entry.key)") }
            case .list(let items):
                for (index, item) in items.enumerated() { add(item, "\(path)::\(index)") }
            case .string(let text), .number(let text): found.append((path, text))
            case .bool(let value): found.append((path, "\(value)"))
            case .null: found.append((path, "null"))
            }
        }
        // Printed by us, so that it is JSON.
        if let tree = try? JSONTree(Array(json.utf8)) { add(tree, "") }
        return found
    }
}
