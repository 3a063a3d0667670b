package import Configuration
package import Logging
package import NIOCore
package import OTLP

/// What the whole gateway shares.
package struct GatewayContext: Sendable {
    /// The gateway's version, for user agents.
    package var version: String
    /// All event loops.
    package var group: any EventLoopGroup
    /// Every byte admitted and not released.
    package var ledger: MemoryLedger
    /// The gateway's own metrics.
    package var registry: MetricRegistry
    /// Set by components, read by health pages.
    package var health: HealthState
    /// Clients that components turned away.
    package let refusedClients = RefusedClients()
    /// The process's memory as the kernel counts it.
    package var residentSize: ResidentSize
    /// `service::telemetry::metrics::level` is `detailed`.
    package var isDetailed: Bool
    package var logger: Logger
    /// Makes spans about the gateway's own work; nil: nobody wants any.
    package var tracer: Tracer?
    /// The last spans, for a page; nil unless there is one.
    package var traceLog: TraceLog?
    /// What the configuration says.
    package var overview = GatewayOverview()
    /// What the gateway says that it is: `service.name` and so on.
    package var resource: [(name: String, value: String)] = []

    package init(
        version: String, group: any EventLoopGroup, ledger: MemoryLedger = MemoryLedger(),
        registry: MetricRegistry = MetricRegistry(), health: HealthState = HealthState(),
        residentSize: ResidentSize, isDetailed: Bool = false, logger: Logger
    ) {
        self.version = version
        self.group = group
        self.ledger = ledger
        self.registry = registry
        self.health = health
        self.residentSize = residentSize
        self.isDetailed = isDetailed
        self.logger = logger
    }
}

/// What a component is given when it is made: everything that it may use, found by nobody else.
package struct ComponentContext: Sendable {
    /// As the configuration writes it: what metrics and messages call the component.
    package let id: ComponentID
    package let kind: ComponentKind
    /// Where it stands, if it stands in one pipeline.
    package let pipeline: PipelineID?
    /// The loop on which it lives, if it needs one of its own.
    package let eventLoop: any EventLoop
    package let gateway: GatewayContext
    /// Names the component on every line.
    package let logger: Logger

    private let accountOrNone: NodeAccount?
    private let signalOrNone: Signal?
    private let neighbours: ComponentNeighbours

    package init(
        id: ComponentID, kind: ComponentKind, signal: Signal? = nil, output: Signal? = nil,
        pipeline: PipelineID? = nil, eventLoop: (any EventLoop)? = nil, gateway: GatewayContext,
        neighbours: ComponentNeighbours = ComponentNeighbours()
    ) {
        self.id = id
        self.kind = kind
        signalOrNone = signal
        self.pipeline = pipeline
        self.eventLoop = eventLoop ?? gateway.group.next()
        self.gateway = gateway
        self.neighbours = neighbours
        var logger = gateway.logger
        logger[metadataKey: "otelcol.component.id"] = "\(id)"
        logger[metadataKey: "otelcol.component.kind"] = "\(kind.rawValue)"
        if let pipeline { logger[metadataKey: "otelcol.pipeline.id"] = "\(pipeline)" }
        if let signal { logger[metadataKey: "otelcol.signal"] = "\(signal.name)" }
        self.logger = logger
        guard let signal else {
            accountOrNone = nil
            return
        }
        let account = NodeAccount(kind: kind, id: id, signal: signal, output: output, pipeline: pipeline)
        gateway.registry.add(account)
        accountOrNone = account
    }

    /// Counts what comes in, goes out and is dropped at this node. Processors, exporters and connectors only; what
    /// receivers bring is counted by the accounts of their outputs.
    package var account: NodeAccount {
        guard let accountOrNone else { preconditionFailure("\(kind.rawValue) \(id) has no account") }
        return accountOrNone
    }

    /// What it takes. Processors, exporters and connectors (their `from`) only.
    package var signal: Signal {
        guard let signalOrNone else { preconditionFailure("\(kind.rawValue) \(id) has no signal of its own") }
        return signalOrNone
    }

    /// The id as text.
    package var name: String { "\(id)" }
    package var registry: MetricRegistry { gateway.registry }
    package var ledger: MemoryLedger { gateway.ledger }

    /// The extension with this id, which the configuration was checked to have.
    package func storage(_ id: ComponentID) -> any StorageExtension {
        guard let storage = neighbours.extensions[id] as? any StorageExtension else {
            preconditionFailure("extension \(id) was not checked to be a storage")
        }
        return storage
    }

    /// The extension with this id; nil in a trial of the pipelines, and when it was not checked to be there.
    package func `extension`(_ id: ComponentID) -> (any Component)? { neighbours.extensions[id] }

    /// The same, or nil in a trial of the pipelines, where no extensions run.
    package func storageIfStarted(_ id: ComponentID) -> (any StorageExtension)? {
        neighbours.extensions[id] as? any StorageExtension
    }

    /// The exporter that a reference of this component names, for the same signal.
    package func exporter(_ id: ComponentID) -> PipelineOutput {
        guard let output = neighbours.exporters[id] else {
            preconditionFailure("\(kind.rawValue) \(self.id) does not say that it refers to exporter \(id)")
        }
        return output
    }

    /// A part that all places of this component share, such as one file for three signals. It is a node of its own: it
    /// starts before the first of them and stops after the last.
    package func shared<Part: Component>(_ make: () throws -> Part) throws -> Part {
        try neighbours.shared.part(of: kind, id, make)
    }
}

/// The other components that one may use.
package struct ComponentNeighbours: Sendable {
    package var extensions: [ComponentID: any Component] = [:]
    /// What the component's references name.
    package var exporters: [ComponentID: PipelineOutput] = [:]
    package var shared = SharedParts()

    package init() {}
}

/// Parts that several places of one component share. Used while the graph is made, by one thread.
package final class SharedParts: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): touched by the thread that makes the graph only.
    package struct Key: Hashable {
        package let kind: ComponentKind
        package let id: ComponentID
    }

    package private(set) var parts: [Key: any Component] = [:]
    /// Which component asked last; the graph takes it after each component that it makes.
    package var lastUsed: Key?

    package init() {}

    fileprivate func part<Part: Component>(
        of kind: ComponentKind, _ id: ComponentID, _ make: () throws -> Part
    ) throws -> Part {
        let key = Key(kind: kind, id: id)
        lastUsed = key
        if let known = parts[key] {
            guard let part = known as? Part else {
                preconditionFailure("\(kind.rawValue) \(id) shares parts of two types")
            }
            return part
        }
        let part = try make()
        parts[key] = part
        return part
    }
}
