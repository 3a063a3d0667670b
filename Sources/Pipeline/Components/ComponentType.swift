package import Configuration
package import OTLP

/// A component type as it describes itself: one constant in the component's own folder and one line in
/// `Service/Components.swift`. Nothing else knows of it.
package struct ComponentType: Sendable {
    /// Another name that configurations may use.
    package struct Alias: Sendable, ExpressibleByStringLiteral {
        package let name: String
        /// What the warning says to write instead; nil for no warning.
        package let deprecation: String?

        package init(_ name: String, deprecation: String?) {
            self.name = name
            self.deprecation = deprecation
        }

        /// A name that is as good as the type's own.
        package init(stringLiteral name: String) {
            self.init(name, deprecation: nil)
        }
    }

    /// How much an operator may rely on it, in the Collector's words.
    package enum Stability: String, Sendable {
        case alpha
        case beta
        case stable
    }

    /// What other components may ask of an extension.
    package enum Capability: String, Sendable {
        /// Keeps sending queues on disk: `StorageExtension`.
        case storage
        /// Puts credentials on what exporters send: `ClientAuthenticator`.
        case clientAuthentication
        /// Says which requests a receiver lets in: `ServerAuthenticator`.
        case serverAuthentication

        /// The side on which it stands, as messages name it.
        package var role: String {
            switch self {
            case .storage: "storage"
            case .clientAuthentication: "client"
            case .serverAuthentication: "server"
            }
        }
    }

    package let kind: ComponentKind
    /// What stands before the `/` of an id.
    package let name: String
    package let aliases: [Alias]
    package let stability: Stability
    /// The pipelines that it may stand in; for connectors see `pairs`; empty for extensions.
    package let signals: Set<Signal>
    /// What a connector can do; empty for all others.
    package let pairs: Set<SignalPair>
    package let capabilities: Set<Capability>
    /// Reads a section whole; problems go to its diagnostics.
    package let read: @Sendable (ConfigSection, ComponentID) -> ComponentSetup
}

/// A component as one section of the configuration describes it, not made yet.
package struct ComponentSetup: Sendable {
    /// Makes the running component. The graph calls it once for each place in which the component stands.
    package enum Make: Sendable {
        case receiver(@Sendable (ComponentContext, [Signal: PipelineOutput]) throws -> any Component)
        case processor(@Sendable (ComponentContext, PipelineInput) throws -> any PipelineComponent)
        /// Gets the pipelines of its second signal that name it as a receiver.
        case connector(@Sendable (ComponentContext, [PipelineOutput]) throws -> any PipelineComponent)
        case exporter(@Sendable (ComponentContext) throws -> any PipelineComponent)
        case `extension`(@Sendable (ComponentContext) throws -> any Component)
    }

    /// What was read. Two setups of one type with equal values make the same component.
    package let config: any Sendable & Equatable
    /// The other components that it names.
    package let references: [ComponentReference]
    /// What its type can do and this one, as it is configured, cannot.
    package let lacks: Set<ComponentType.Capability>
    package let make: Make
    /// Checks what depends on the pipelines that use it. Problems go to the section's diagnostics.
    package let check: @Sendable (Set<Signal>, ConfigSection) -> Void
}

/// A key of a component that names another component.
package struct ComponentReference: Sendable, Equatable {
    /// What must stand there.
    package enum Target: Sendable, Equatable {
        /// A started extension that can do this.
        case `extension`(ComponentType.Capability)
        /// Another exporter, which gets data from this one.
        case exporter
    }

    package let id: ComponentID
    package let target: Target
    /// The sections below the component's own that lead to the key.
    package let sections: [String]
    package let key: String

    package init(_ id: ComponentID, _ target: Target, in sections: [String] = [], key: String) {
        self.id = id
        self.target = target
        self.sections = sections
        self.key = key
    }
}

/// The configuration of a component: what its section says, read and checked.
package protocol ComponentConfig: Sendable, Equatable {
    /// Reads the section whole, `finish()` included; problems go to its diagnostics.
    init(_ section: ConfigSection)
    /// The same, for types whose alias means other defaults. By default `init`.
    static func read(_ section: ConfigSection, of id: ComponentID) -> Self
    /// The other components that it names. By default none.
    var references: [ComponentReference] { get }
    /// What its type can do and this one, as it is configured, cannot. By default nothing.
    var lacks: Set<ComponentType.Capability> { get }
    /// Checks what depends on the pipelines that use the component. Problems go to the section's diagnostics.
    func check(usedFor signals: Set<Signal>, _ section: ConfigSection)
}

extension ComponentConfig {
    package static func read(_ section: ConfigSection, of id: ComponentID) -> Self { Self(section) }
    package var references: [ComponentReference] { [] }
    package var lacks: Set<ComponentType.Capability> { [] }
    package func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {}
}

// MARK: - One maker a kind

extension ComponentType {
    private init<Config: ComponentConfig>(
        _ kind: ComponentKind, _ name: String, _ aliases: [Alias], _ stability: Stability,
        signals: Set<Signal> = [], pairs: Set<SignalPair> = [], capabilities: Set<Capability> = [],
        make: @escaping @Sendable (Config) -> ComponentSetup.Make
    ) {
        self.init(
            kind: kind, name: name, aliases: aliases, stability: stability, signals: signals, pairs: pairs,
            capabilities: capabilities
        ) { section, id in
            let config = Config.read(section, of: id)
            return ComponentSetup(
                config: config, references: config.references, lacks: config.lacks, make: make(config),
                check: { config.check(usedFor: $0, $1) })
        }
    }

    /// Describes a receiver; its outputs are missing for signals that no pipeline takes.
    package static func receiver<Config: ComponentConfig>(
        _ name: String, aliases: [Alias] = [], stability: Stability = .beta,
        signals: Set<Signal> = Set(Signal.allCases), _: Config.Type,
        make: @escaping @Sendable (Config, ComponentContext, [Signal: PipelineOutput]) throws -> any Component
    ) -> ComponentType {
        ComponentType(.receiver, name, aliases, stability, signals: signals) { config in
            .receiver { try make(config, $0, $1) }
        }
    }

    /// Describes a processor; it gets the input of what stands behind it.
    package static func processor<Config: ComponentConfig>(
        _ name: String, aliases: [Alias] = [], stability: Stability = .beta,
        signals: Set<Signal> = Set(Signal.allCases), _: Config.Type,
        make: @escaping @Sendable (Config, ComponentContext, PipelineInput) throws -> any PipelineComponent
    ) -> ComponentType {
        ComponentType(.processor, name, aliases, stability, signals: signals) { config in
            .processor { try make(config, $0, $1) }
        }
    }

    /// Describes a connector; it gets an output for each pipeline of its second signal that names it as a receiver.
    package static func connector<Config: ComponentConfig>(
        _ name: String, aliases: [Alias] = [], stability: Stability = .beta, pairs: Set<SignalPair>,
        _: Config.Type,
        make: @escaping @Sendable (Config, ComponentContext, [PipelineOutput]) throws -> any PipelineComponent
    ) -> ComponentType {
        ComponentType(.connector, name, aliases, stability, pairs: pairs) { config in
            .connector { try make(config, $0, $1) }
        }
    }

    /// Describes an exporter.
    package static func exporter<Config: ComponentConfig>(
        _ name: String, aliases: [Alias] = [], stability: Stability = .beta,
        signals: Set<Signal> = Set(Signal.allCases), _: Config.Type,
        make: @escaping @Sendable (Config, ComponentContext) throws -> any PipelineComponent
    ) -> ComponentType {
        ComponentType(.exporter, name, aliases, stability, signals: signals) { config in
            .exporter { try make(config, $0) }
        }
    }

    /// Describes an extension.
    package static func `extension`<Config: ComponentConfig>(
        _ name: String, aliases: [Alias] = [], stability: Stability = .beta,
        capabilities: Set<Capability> = [], _: Config.Type,
        make: @escaping @Sendable (Config, ComponentContext) throws -> any Component
    ) -> ComponentType {
        ComponentType(.extension, name, aliases, stability, capabilities: capabilities) { config in
            .extension { try make(config, $0) }
        }
    }
}
