/// A whole configuration, read and checked as far as it can be without knowing the components: which there are,
/// how the pipelines join them, and the gateway's own telemetry.
///
/// The caller reads every component's `section` (also of those that no pipeline uses) with that component's
/// configuration type, then looks at `Diagnostics.hasErrors`: only without errors may it be used.
package struct GatewayConfig {
    /// One component with its section.
    package struct Component {
        package let kind: ComponentKind
        /// The id as written; what metrics and messages call the component.
        package let id: ComponentID
        /// The type to build: the catalogue's canonical name.
        package let type: String
        /// Its keys, to be read once by the type's configuration.
        package let section: ConfigSection
        /// True when a pipeline (for an extension: `service::extensions`) names it. Only these are started.
        package let isUsed: Bool
    }

    /// One pipeline: the ids of its parts in written order, all of them configured and of built types. Receivers and
    /// exporters may be connectors.
    package struct Pipeline {
        package let id: PipelineID
        package let receivers: [ComponentID]
        package let processors: [ComponentID]
        package let exporters: [ComponentID]
    }

    /// In written order.
    package let receivers: [Component]
    /// In written order.
    package let processors: [Component]
    /// In written order.
    package let exporters: [Component]
    /// In written order.
    package let connectors: [Component]
    /// In written order; those used are started in the order of `service::extensions`.
    package let extensions: [Component]
    /// The ids under `service::extensions`.
    package let serviceExtensions: [ComponentID]
    /// In written order.
    package let pipelines: [Pipeline]
    /// `service::telemetry`.
    package let telemetry: TelemetryConfig
    /// The `audit` exporter of a pipeline that keeps the gateway's own audit events; nil: they are not kept. Ours. Key
    /// `service::audit::exporter`.
    package let auditExporter: ComponentID?

    /// Merged and expanded, for printing.
    let effective: ConfigMap
    let paths: ReadPaths
    /// Extensions that are written and of types that are not built, which was said: naming them is no second error.
    package var unbuiltExtensions: Set<ComponentID> = []

    /// The component with an id, nil when there is none.
    package func component(_ kind: ComponentKind, _ id: ComponentID) -> Component? {
        components(kind).first { $0.id == id }
    }

    /// All components of a kind in written order.
    package func components(_ kind: ComponentKind) -> [Component] {
        switch kind {
        case .receiver: receivers
        case .processor: processors
        case .exporter: exporters
        case .extension: extensions
        case .connector: connectors
        }
    }

    /// Reads a configuration.
    ///
    /// - Parameters:
    ///   - sources: The `--config` arguments, at least one, merged in order.
    ///   - overrides: The `--set` arguments (`a.b.c=value`), applied last.
    ///   - catalogue: The component types that may be named.
    ///   - diagnostics: Receives every problem.
    ///   - environment: Variables and files; the process's own unless a test brings others.
    /// - Returns: nil when a source could not be read at all (an error says why). Otherwise what could be read,
    ///   also when errors were reported.
    package static func load(
        sources: [ConfigSource], overrides: [String] = [], catalogue: ComponentCatalogue,
        diagnostics: Diagnostics, environment: ConfigEnvironment = .process
    ) -> GatewayConfig? {
        guard
            let top = ConfigLoader.load(
                sources: sources, overrides: overrides, environment: environment, diagnostics: diagnostics)
        else { return nil }
        var map = ConfigMap()
        if case .map(let read) = top.content { map = read }
        let origin = ConfigOrigin(text: top.origin.text, line: 1, column: 1, width: 1)
        let section = ConfigSection(
            path: "", map: map, origin: origin, diagnostics: diagnostics, paths: ReadPaths())
        return GatewayReader(top: section, catalogue: catalogue, diagnostics: diagnostics).read()
    }
}
