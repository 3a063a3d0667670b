package import Configuration
package import NIOCore
package import OTLP
package import Pipeline

extension ComponentContext {
    /// A context for a component by itself.
    package static func alone(
        _ kind: ComponentKind, _ id: String, signal: Signal? = .traces, on eventLoop: any EventLoop,
        registry: MetricRegistry = MetricRegistry(), ledger: MemoryLedger = MemoryLedger(),
        neighbours: ComponentNeighbours = ComponentNeighbours()
    ) -> ComponentContext {
        guard let componentID = ComponentID(id), let residentSize = try? ResidentSize() else {
            preconditionFailure("\(id) is not an id, or /proc is not mounted")
        }
        let gateway = GatewayContext(
            version: "test", group: eventLoop, ledger: ledger, registry: registry,
            residentSize: residentSize, logger: makeSilentLogger())
        return ComponentContext(
            id: componentID, kind: kind, signal: signal, eventLoop: eventLoop, gateway: gateway,
            neighbours: neighbours)
    }
}
