internal import OTLP

/// Reads `service::pipelines` and checks every reference in it.
struct PipelineReader {
    let catalogue: ComponentCatalogue
    let diagnostics: Diagnostics
    let definitions: [ComponentKind: GatewayReader.Definitions]

    func read(_ service: ConfigSection?, top: ConfigSection) -> [GatewayConfig.Pipeline] {
        let help = "add \"pipelines:\" under \"service:\""
        guard let service else {
            top.report(nil, error: "service must have at least one pipeline", help: help)
            return []
        }
        guard let section = service.section("pipelines"), !section.keys.isEmpty else {
            if !service.has("pipelines") || service.section("pipelines") != nil {
                service.report(nil, error: "service must have at least one pipeline", help: help)
            }
            return []
        }
        section.allowAnyKey()
        var result: [GatewayConfig.Pipeline] = []
        for key in section.keys {
            guard let id = pipelineID(key, section), let body = section.section(key) else { continue }
            guard !result.contains(where: { $0.id == id }) else {
                section.pointAtKey(
                    key, error: "pipeline \(quoted(id.description)) is already configured",
                    help: "keep one of the two, or give one a name: \(id.signal.rawValue)/second")
                continue
            }
            result.append(pipeline(id, body))
        }
        return result
    }

    private func pipelineID(_ key: String, _ section: ConfigSection) -> PipelineID? {
        let parsed = ComponentID(key)
        let signals = Signal.allCases.map(\.name)
        guard let parsed else {
            section.pointAtKey(
                key, error: "\(quoted(key)) is not a valid pipeline id",
                help: "write \(alternatives(signals)), optionally followed by a slash and a name")
            return nil
        }
        if parsed.type == "profiles" {
            section.pointAtKey(
                key, error: "profiles are not supported yet; use \(alternatives(signals))",
                help: "remove this pipeline")
            return nil
        }
        guard let signal = Signal(name: parsed.type) else {
            section.pointAtKey(
                key, error: "unknown signal \(quoted(parsed.type)); must be \(alternatives(signals))",
                help: nearest(parsed.type, in: signals).map { "did you mean \"\($0)\"?" })
            return nil
        }
        return PipelineID(signal: signal, name: parsed.name)
    }

    private func pipeline(_ id: PipelineID, _ body: ConfigSection) -> GatewayConfig.Pipeline {
        let receivers = references("receivers", .receiver, id, body)
        let processors = references("processors", .processor, id, body)
        let exporters = references("exporters", .exporter, id, body)
        if receivers.isEmpty { missing("receiver", body) }
        if exporters.isEmpty { missing("exporter", body) }
        checkOrder(processors, body)
        return GatewayConfig.Pipeline(
            id: id, receivers: built(receivers, .receiver), processors: built(processors, .processor),
            exporters: built(exporters, .exporter))
    }

    private func missing(_ noun: String, _ body: ConfigSection) {
        // A list of unknown names was reported already, name by name.
        if let listed = body.located(noun + "s"), !listed.isEmpty { return }
        body.report(nil, error: "must have at least one \(noun)", help: "name one under \"\(noun)s:\"")
    }

    /// A name in a pipeline with its place.
    private struct Reference {
        let id: ComponentID
        let origin: ConfigOrigin
    }

    private func built(_ references: [Reference], _ kind: ComponentKind) -> [ComponentID] {
        references.map(\.id).filter {
            definitions[kind]?.entry($0) != nil
                || kind != .processor && definitions[.connector]?.entry($0) != nil
        }
    }

    /// Whether a receiver's or an exporter's name means a connector.
    private func isConnector(_ id: ComponentID) -> Bool {
        definitions[.connector]?.written.contains(id) ?? false
    }

    private func references(
        _ key: String, _ kind: ComponentKind, _ pipeline: PipelineID, _ body: ConfigSection
    ) -> [Reference] {
        let known = definitions[kind] ?? GatewayReader.Definitions()
        var result: [Reference] = []
        for (text, origin) in body.located(key) ?? [] {
            if known.misspelt.contains(text) { continue }
            let id = ComponentID(text)
            if let id, isConnector(id), kind != .processor {
                if !result.contains(where: { $0.id == id }) {
                    result.append(Reference(id: id, origin: origin))
                }
                continue
            }
            guard let id, known.written.contains(id) else {
                diagnostics.error(
                    "references \(kind.rawValue) \(quoted(text)) which is not configured", path: body.path,
                    at: origin, help: referenceHelp(text, kind, known.written))
                continue
            }
            guard !result.contains(where: { $0.id == id }) else {
                diagnostics.error(
                    "references \(kind.rawValue) \(quoted(text)) multiple times", path: body.path, at: origin,
                    help: "keep one of them")
                continue
            }
            if let entry = known.entry(id), !entry.signals.contains(pipeline.signal) {
                let supported = Signal.allCases.filter { entry.signals.contains($0) }.map(\.name)
                diagnostics.error(
                    "\(kind.rawValue) \(quoted(text)) cannot carry \(pipeline.signal.name): "
                        + "telemetry type is not supported",
                    path: body.path, at: origin, help: "it carries \(supported.joined(separator: " and "))")
                continue
            }
            result.append(Reference(id: id, origin: origin))
        }
        return result
    }

    /// The limiter must see data before anything holds it.
    private func checkOrder(_ processors: [Reference], _ body: ConfigSection) {
        func type(_ reference: Reference) -> String {
            catalogue.entry(.processor, reference.id.type)?.canonicalType ?? reference.id.type
        }
        guard let index = processors.firstIndex(where: { type($0) == "memory_limiter" }), index > 0 else {
            return
        }
        let before = processors[..<index]
        let limiter = processors[index]
        if let batch = before.first(where: { type($0) == "batch" }) {
            diagnostics.warning(
                "processor \(quoted(batch.id.description)) stands before \(quoted(limiter.id.description)), "
                    + "which then cannot refuse what is already held",
                path: body.path, at: limiter.origin, help: "put \(quoted(limiter.id.description)) first")
        } else {
            diagnostics.warning(
                "processor \(quoted(limiter.id.description)) should be the first",
                path: body.path, at: limiter.origin, help: "put \(quoted(limiter.id.description)) first")
        }
    }
}
