/// Reads the top level of a configuration: component definitions, `service`, and what joins them.
struct GatewayReader {
    let top: ConfigSection
    let catalogue: ComponentCatalogue
    let diagnostics: Diagnostics

    /// What one kind's section defines.
    struct Definitions {
        /// Of built types, in written order.
        var usable: [(id: ComponentID, entry: ComponentCatalogue.Entry, section: ConfigSection)] = []
        /// All ids that are written, also of types that are unknown or not built: naming them is no second error.
        var written: [ComponentID] = []
        /// Keys that are no ids, which was said: naming them is no second error.
        var misspelt: Set<String> = []

        func entry(_ id: ComponentID) -> ComponentCatalogue.Entry? {
            usable.first { $0.id == id }?.entry
        }
    }

    func read() -> GatewayConfig {
        guard !top.keys.isEmpty else { return empty() }
        let receivers = define(.receiver)
        let processors = define(.processor)
        let exporters = define(.exporter)
        let extensions = define(.extension)
        let connectors = define(.connector)
        for (kind, definitions) in [(ComponentKind.receiver, receivers), (.exporter, exporters)]
        where definitions.written.isEmpty && definitions.misspelt.isEmpty {
            top.report(
                nil, error: "no \(kind.rawValue) is configured",
                help: "add one under \"\(kind.section):\", such as otlp, and name it in a pipeline")
        }

        let service = top.section("service")
        let joined = PipelineReader(
            catalogue: catalogue, diagnostics: diagnostics,
            definitions: [
                .receiver: receivers, .processor: processors, .exporter: exporters, .connector: connectors,
            ])
        let pipelines = joined.read(service, top: top)
        ConnectorCheck(
            connectors: connectors, receivers: receivers.written, exporters: exporters.written,
            pipelines: pipelines, diagnostics: diagnostics
        ).check()
        let started = serviceExtensions(service, extensions)
        let telemetry = service?.section("telemetry").map { TelemetryConfig($0) } ?? TelemetryConfig()
        let audit = service?.section("audit")
        let auditName = audit?.string("exporter", default: "")
        audit?.finish()
        top.finish()

        func components(_ kind: ComponentKind, _ definitions: Definitions) -> [GatewayConfig.Component] {
            let used = Set(
                pipelines.flatMap { pipeline in
                    switch kind {
                    case .receiver: pipeline.receivers
                    case .processor: pipeline.processors
                    case .exporter: pipeline.exporters
                    case .connector: pipeline.exporters + pipeline.receivers
                    case .extension: started
                    }
                })
            return definitions.usable.map {
                GatewayConfig.Component(
                    kind: kind, id: $0.id, type: $0.entry.canonicalType, section: $0.section,
                    isUsed: kind == .extension ? started.contains($0.id) : used.contains($0.id))
            }
        }
        let auditExporter = components(.exporter, exporters).first { "\($0.id)" == auditName }
        if let audit, !audit.isBroken("exporter") {
            if auditExporter?.type != "audit" || auditExporter?.isUsed != true {
                audit.report(
                    audit.has("exporter") ? "exporter" : nil,
                    error:
                        "must name an exporter of the type audit that a pipeline uses, found \"\(auditName ?? "")\"",
                    help: "write exporter: audit, and name audit under exporters of a logs pipeline")
            }
        }
        var config = GatewayConfig(
            receivers: components(.receiver, receivers), processors: components(.processor, processors),
            exporters: components(.exporter, exporters), connectors: components(.connector, connectors),
            extensions: components(.extension, extensions),
            serviceExtensions: started, pipelines: pipelines, telemetry: telemetry,
            auditExporter: auditExporter?.id, effective: top.map,
            paths: top.paths)
        config.unbuiltExtensions = Set(extensions.written).subtracting(extensions.usable.map(\.id))
        return config
    }

    /// Says once that nothing is there.
    private func empty() -> GatewayConfig {
        top.report(
            nil, error: "the configuration is empty",
            help: "write receivers:, exporters: and service: {pipelines: …}")
        top.finish()
        return GatewayConfig(
            receivers: [], processors: [], exporters: [], connectors: [], extensions: [],
            serviceExtensions: [], pipelines: [], telemetry: TelemetryConfig(), auditExporter: nil,
            effective: top.map, paths: top.paths)
    }

    // MARK: Definitions

    private func define(_ kind: ComponentKind) -> Definitions {
        var result = Definitions()
        guard let section = top.section(kind.section) else { return result }
        section.allowAnyKey()
        for key in section.keys {
            guard let id = componentID(key, kind, section) else {
                result.misspelt.insert(key)
                continue
            }
            guard !result.written.contains(id) else {
                section.report(
                    key, error: "\(kind.rawValue) \(quoted(id.description)) is already configured",
                    help: "keep one of the two, or give one a name: \(id.type)/second")
                continue
            }
            result.written.append(id)
            if kind == .extension, catalogue.entry(kind, id.type)?.status != .built,
                let reason = Self.withoutEffect[id.type]
            {
                section.pointAtKey(
                    key, warning: "extension \(quoted(id.type)) has no effect here", help: reason)
                continue
            }
            guard let entry = catalogue.entry(kind, id.type) else {
                diagnostics.dropWarnings(under: section.path(of: key))
                unknownType(id, kind, key, section)
                continue
            }
            guard entry.status == .built else {
                diagnostics.dropWarnings(under: section.path(of: key))
                section.pointAtKey(
                    key, error: "\(kind.rawValue) \(quoted(id.type)) is not built into this version yet",
                    help: insteadOf(entry.type, kind))
                continue
            }
            if let deprecation = entry.deprecation {
                section.pointAtKey(
                    key, warning: "\(kind.rawValue) \(quoted(id.type)) is deprecated; \(deprecation)")
            }
            if let body = section.detached(key) { result.usable.append((id, entry, body)) }
        }
        return result
    }

    /// Extensions of the Collector that are about its own runtime: they stop nobody.
    private static let withoutEffect = [
        "pprof": "remove it; it serves profiles of Go's runtime, for which Linux has perf",
        "memory_ballast": "remove it; there is no garbage collector that it could help",
        "cgroup_runtime":
            "remove it; memory_limiter's limit_percentage and the event loops follow the cgroup already",
    ]

    private func componentID(_ key: String, _ kind: ComponentKind, _ section: ConfigSection) -> ComponentID? {
        if let id = ComponentID(key) { return id }
        section.pointAtKey(
            key, error: "\(quoted(key)) is not a valid \(kind.rawValue) id",
            help: "write a type such as \"otlp\", or a type and a name such as \"otlp/second\"")
        return nil
    }

    private func unknownType(
        _ id: ComponentID, _ kind: ComponentKind, _ key: String, _ section: ConfigSection
    ) {
        let built = catalogue.built(kind)
        let values = built.filter { $0.deprecation == nil }.map(\.type).sorted().joined(separator: ", ")
        let near = nearest(id.type, in: built.map(\.type) + catalogue.notBuilt(kind))
        section.pointAtKey(
            key,
            error:
                "unknown type: \(quoted(id.type)) for id: \(quoted(id.description)) (valid values: [\(values)])",
            help: near.map { "did you mean \"\($0)\"?" } ?? "write one of the valid types, or remove it")
    }

    // MARK: service::extensions

    private func serviceExtensions(_ service: ConfigSection?, _ extensions: Definitions) -> [ComponentID] {
        guard let service, let listed = service.located("extensions") else { return [] }
        var result: [ComponentID] = []
        for (text, origin) in listed {
            let path = service.path(of: "extensions")
            if extensions.misspelt.contains(text) { continue }
            guard let id = ComponentID(text), extensions.written.contains(id) else {
                diagnostics.error(
                    "references extension \(quoted(text)) which is not configured", path: path, at: origin,
                    help: referenceHelp(text, .extension, extensions.written))
                continue
            }
            guard !result.contains(id) else {
                diagnostics.error(
                    "references extension \(quoted(text)) multiple times", path: path, at: origin,
                    help: "keep one of them")
                continue
            }
            if extensions.entry(id) != nil { result.append(id) }
        }
        return result
    }
}

/// What to do about a name that is not configured: the near one, or where to write it.
func referenceHelp(_ text: String, _ kind: ComponentKind, _ written: [ComponentID]) -> String {
    let names = written.map(\.description)
    if let near = nearest(text, in: names) { return "did you mean \"\(near)\"?" }
    let configured = names.isEmpty ? "" : "; configured are " + names.joined(separator: ", ")
    return "add \"\(text):\" under \"\(kind.section):\"" + configured
}
