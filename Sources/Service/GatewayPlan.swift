package import Configuration
internal import OTLP
package import Pipeline

/// A configuration that was read and checked whole: what the gateway will build.
package struct GatewayPlan: Sendable {
    /// The components of each kind, in use or not.
    let components: [ComponentKind: [ComponentID: Part]]
    /// What `service::extensions` names, in its order.
    let extensions: [ComponentID]
    let pipelines: [GatewayConfig.Pipeline]
    /// `service::telemetry`.
    package let telemetry: TelemetryConfig
    /// `service::audit`; nil: the gateway's own audit events are not kept.
    let auditExporter: ComponentID?
    /// The configuration in JSON without its secrets, for audit events.
    package let configuration: String
    /// What can be built.
    private let types: [ComponentType]
    private let unbuiltExtensions: Set<ComponentID>

    /// A configured component.
    struct Part: Sendable {
        let type: ComponentType
        let setup: ComponentSetup
    }

    /// The types that can be named: those that are built, and those that are known from the Collector.
    package static func catalogue(of types: [ComponentType] = builtInComponents) -> ComponentCatalogue {
        var catalogue = ComponentCatalogue()
        for type in types {
            catalogue.add(type.kind, type.name, signals: type.signals, pairs: type.pairs)
            for alias in type.aliases {
                catalogue.addAlias(type.kind, alias.name, of: type.name, deprecation: alias.deprecation)
            }
        }
        return catalogue
    }

    /// Reads and checks a configuration, components in use or not. Problems go to `diagnostics`, all of them.
    /// - Parameter types: what can be built; tests bring their own.
    /// - Returns: nil when there was an error.
    package static func load(
        sources: [ConfigSource], overrides: [String] = [], types: [ComponentType] = builtInComponents,
        diagnostics: Diagnostics
    ) -> (plan: GatewayPlan, config: GatewayConfig)? {
        guard
            let config = GatewayConfig.load(
                sources: sources, overrides: overrides, catalogue: catalogue(of: types),
                diagnostics: diagnostics, environment: .gateway)
        else { return nil }
        let plan = GatewayPlan(config, types)
        for kind in ComponentKind.allCases {
            for component in config.components(kind) { plan.check(component) }
        }
        return diagnostics.hasErrors ? nil : (plan, config)
    }

    private init(_ config: GatewayConfig, _ types: [ComponentType]) {
        self.types = types
        telemetry = config.telemetry
        pipelines = config.pipelines
        extensions = config.serviceExtensions
        unbuiltExtensions = config.unbuiltExtensions
        var components: [ComponentKind: [ComponentID: Part]] = [:]
        for kind in ComponentKind.allCases {
            for component in config.components(kind) {
                guard let type = types.first(where: { $0.kind == kind && $0.name == component.type }) else {
                    preconditionFailure(
                        "\(kind.rawValue) \(component.type) is in the catalogue and not listed")
                }
                let setup = type.read(component.section, component.id)
                components[kind, default: [:]][component.id] = Part(type: type, setup: setup)
            }
        }
        self.components = components
        auditExporter = config.auditExporter
        // After all components have said what is secret.
        configuration = config.printed(.json, redacted: true)
    }

    /// A component that was checked to be there.
    func part(_ kind: ComponentKind, _ id: ComponentID) -> Part {
        guard let part = components[kind]?[id] else {
            preconditionFailure("\(kind.rawValue) \(id) is named and was not checked to be configured")
        }
        return part
    }

    /// What the configuration says, for pages about it.
    var overview: GatewayOverview {
        GatewayOverview(
            pipelines: pipelines.map { pipeline in
                GatewayOverview.Pipeline(
                    id: "\(pipeline.id)", receivers: pipeline.receivers.map(\.description),
                    processors: pipeline.processors.map(\.description),
                    exporters: pipeline.exporters.map(\.description))
            }, extensions: extensions.map(\.description))
    }

    /// Whether a name in a pipeline means a connector.
    func isConnector(_ id: ComponentID) -> Bool { components[.connector]?[id] != nil }
}

// MARK: - What components say of each other

extension GatewayPlan {
    private func check(_ component: GatewayConfig.Component) {
        let setup = part(component.kind, component.id).setup
        setup.check(signals(of: component.kind, component.id), component.section)
        for reference in setup.references {
            var section: ConfigSection? = component.section
            for key in reference.sections { section = section?.section(key) }
            guard let section else { continue }
            switch reference.target {
            case .extension(let capability): check(reference, capability, section)
            case .exporter: checkExporter(reference, from: component.id, section)
            }
        }
    }

    /// The signals that come to a component: those of the pipelines that use it, and for an exporter those of the exporters
    /// that refer to it.
    private func signals(
        of kind: ComponentKind, _ id: ComponentID, notBy seen: Set<ComponentID> = []
    ) -> Set<Signal> {
        let users = pipelines.filter { pipeline in
            switch kind {
            case .receiver: pipeline.receivers.contains(id)
            case .processor: pipeline.processors.contains(id)
            case .exporter, .connector: pipeline.exporters.contains(id)
            case .extension: false
            }
        }
        var signals = Set(users.map { $0.id.signal })
        guard kind == .exporter else { return signals }
        let seen = seen.union([id])
        for (giver, part) in components[.exporter] ?? [:] where !seen.contains(giver) {
            let names = part.setup.references.contains { $0.target == .exporter && $0.id == id }
            if names { signals.formUnion(self.signals(of: .exporter, giver, notBy: seen)) }
        }
        return signals
    }

    private func check(
        _ reference: ComponentReference, _ capability: ComponentType.Capability, _ section: ConfigSection
    ) {
        if unbuiltExtensions.contains(reference.id) { return }
        if extensions.contains(reference.id) {
            let named = part(.extension, reference.id)
            if named.type.capabilities.subtracting(named.setup.lacks).contains(capability) { return }
            if named.setup.lacks.contains(capability) {
                section.report(
                    reference.key,
                    error: "requested authenticator is not a \(capability.role) authenticator",
                    help: "extension \"\(reference.id)\" is configured for the other side: name another one")
                return
            }
        }
        let types = types.filter { $0.capabilities.contains(capability) }.map(\.name)
        section.report(
            reference.key,
            error:
                "references extension \"\(reference.id)\", which is not a started \(types.joined(separator: " or "))",
            help: "add \"\(reference.id)\" to extensions and to service::extensions")
    }

    /// Checks that an exporter that gets another one's data is there and that the data does not come back.
    private func checkExporter(
        _ reference: ComponentReference, from start: ComponentID, _ section: ConfigSection
    ) {
        guard let target = components[.exporter]?[reference.id] else {
            section.report(
                reference.key, error: "references exporter \"\(reference.id)\" which is not configured",
                help: "add \"\(reference.id):\" under \"exporters:\"")
            return
        }
        func names(_ signals: Set<Signal>) -> String {
            Signal.allCases.filter(signals.contains).map(\.name).joined(separator: " and ")
        }
        let unfit = signals(of: .exporter, start).subtracting(target.type.signals)
        if !unfit.isEmpty {
            section.report(
                reference.key,
                error: "exporter \"\(reference.id)\" cannot carry \(names(unfit)), which \"\(start)\" gets",
                help:
                    "it carries \(names(target.type.signals)); name another exporter, such as a file, or have an"
                    + " exporter of its own for \(names(unfit))")
        }
        guard let circle = circle(from: start, over: [reference.id]) else { return }
        let words = circle.map { "\($0)" }.joined(separator: " → ")
        section.report(
            reference.key, error: "leads back: \(start) → \(words)",
            help: "name an exporter that ends the way, such as a file")
    }

    /// A way over exporters that ends at `start`, or at one that is on it already.
    private func circle(from start: ComponentID, over way: [ComponentID]) -> [ComponentID]? {
        guard let last = way.last, let part = components[.exporter]?[last] else { return nil }
        if last == start || way.dropLast().contains(last) { return way }
        for reference in part.setup.references where reference.target == .exporter {
            if let circle = circle(from: start, over: way + [reference.id]) { return circle }
        }
        return nil
    }
}
