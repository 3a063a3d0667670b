internal import Configuration
internal import OTLP
internal import Pipeline

/// Makes the components of a plan, from the back of the pipelines to their front.
struct GraphBuilder {
    private let plan: GatewayPlan
    private let gateway: GatewayContext
    private let extensions: [ComponentID: any Component]
    private let shared = SharedParts()
    private(set) var nodes: [GraphNode] = []
    private var numbers: [NodeID: Int] = [:]
    private var inputs: [Int: PipelineInput] = [:]
    private var pipelines: [PipelineID: Front] = [:]

    /// The front of a pipeline.
    private struct Front {
        let input: PipelineInput
        /// The nodes that get all of what comes in.
        let nodes: [Int]
    }

    /// Makes all nodes that the plan's pipelines use.
    /// - Parameter extensions: made before.
    /// - Throws: a component cannot be made.
    static func nodes(
        of plan: GatewayPlan, _ gateway: GatewayContext, extensions: [ComponentID: any Component]
    ) throws(GatewayError) -> [GraphNode] {
        var builder = GraphBuilder(plan, gateway, extensions)
        for pipeline in plan.pipelines { _ = try builder.front(of: pipeline) }
        try builder.makeReceivers()
        builder.setLevels()
        return builder.nodes
    }

    private init(
        _ plan: GatewayPlan, _ gateway: GatewayContext, _ extensions: [ComponentID: any Component]
    ) {
        self.plan = plan
        self.gateway = gateway
        self.extensions = extensions
    }

    // MARK: - Pipelines

    private mutating func front(of pipeline: GatewayConfig.Pipeline) throws(GatewayError) -> Front {
        if let known = pipelines[pipeline.id] { return known }
        var ends: [Int] = []
        for id in pipeline.exporters {
            if plan.isConnector(id) {
                ends += try connectors(id, from: pipeline.id.signal)
            } else {
                ends.append(try exporter(id, pipeline.id.signal))
            }
        }
        var front = Front(input: .joining(ends.map { inputs[$0]! }), nodes: ends)
        for id in pipeline.processors.reversed() {
            let node = try processor(id, pipeline.id, before: front)
            front = Front(input: inputs[node]!, nodes: [node])
        }
        pipelines[pipeline.id] = front
        return front
    }

    private mutating func processor(
        _ id: ComponentID, _ pipeline: PipelineID, before next: Front
    ) throws(GatewayError) -> Int {
        let node = NodeID(kind: .processor, id: id, signal: pipeline.signal, pipeline: pipeline)
        return try add(node) { setup, context throws(GatewayError) in
            guard case .processor(let make) = setup.make else { return nil }
            return try Self.naming(node) { try make(context, next.input) }
        } edges: {
            $0.next = next.nodes
        }
    }

    private mutating func exporter(_ id: ComponentID, _ signal: Signal) throws(GatewayError) -> Int {
        let node = NodeID(kind: .exporter, id: id, signal: signal)
        if let known = numbers[node] { return known }
        var targets: [ComponentID: Int] = [:]
        for reference in plan.part(.exporter, id).setup.references where reference.target == .exporter {
            targets[reference.id] = try exporter(reference.id, signal)
        }
        return try add(
            node, exporters: targets.mapValues { PipelineOutput(inputs[$0]!, nodes[$0].account!) }
        ) {
            setup, context throws(GatewayError) in
            guard case .exporter(let make) = setup.make else { return nil }
            return try Self.naming(node) { try make(context) }
        } edges: {
            $0.needs = Array(targets.values)
        }
    }

    /// A connector has an instance for each signal that it gives.
    private mutating func connectors(_ id: ComponentID, from: Signal) throws(GatewayError) -> [Int] {
        let pairs = plan.part(.connector, id).type.pairs
        var made: [Int] = []
        for to in Signal.allCases where pairs.contains(SignalPair(from, to)) {
            let receivers = plan.pipelines.filter { $0.id.signal == to && $0.receivers.contains(id) }
            if !receivers.isEmpty { made.append(try connector(id, SignalPair(from, to), receivers)) }
        }
        return made
    }

    private mutating func connector(
        _ id: ComponentID, _ pair: SignalPair, _ receivers: [GatewayConfig.Pipeline]
    ) throws(GatewayError) -> Int {
        let node = NodeID(kind: .connector, id: id, signal: pair.from, output: pair.to)
        if let known = numbers[node] { return known }
        var outputs: [PipelineOutput] = []
        var brings: [(account: NodeAccount, to: [Int])] = []
        for pipeline in receivers {
            let front = try front(of: pipeline)
            let account = NodeAccount(
                kind: .connector, id: id, signal: pair.from, output: pair.to, pipeline: pipeline.id)
            gateway.registry.add(account)
            outputs.append(PipelineOutput(front.input, pipeline: pipeline.id, account))
            brings.append((account, front.nodes))
        }
        return try add(node) { setup, context throws(GatewayError) in
            guard case .connector(let make) = setup.make else { return nil }
            return try Self.naming(node) { try make(context, outputs) }
        } edges: {
            $0.brings = brings
            $0.needs = brings.flatMap(\.to)
        }
    }

    // MARK: - Receivers

    private mutating func makeReceivers() throws(GatewayError) {
        var users: [ComponentID: [Signal: [Front]]] = [:]
        var order: [ComponentID] = []
        for pipeline in plan.pipelines {
            for id in pipeline.receivers where !plan.isConnector(id) {
                if users[id] == nil { order.append(id) }
                users[id, default: [:]][pipeline.id.signal, default: []].append(try front(of: pipeline))
            }
        }
        for id in order {
            var outputs: [Signal: PipelineOutput] = [:]
            var brings: [(account: NodeAccount, to: [Int])] = []
            for (signal, fronts) in users[id] ?? [:] {
                let account = NodeAccount(kind: .receiver, id: id, signal: signal)
                gateway.registry.add(account)
                outputs[signal] = PipelineOutput(.joining(fronts.map(\.input)), account)
                brings.append((account, fronts.flatMap(\.nodes)))
            }
            let node = NodeID(kind: .receiver, id: id)
            guard case .receiver(let make) = plan.part(.receiver, id).setup.make else { continue }
            let context = context(node)
            let component = try Self.naming(node) { try make(context, outputs) }
            number(node, component, nil) {
                $0.brings = brings
                $0.needs = brings.flatMap(\.to)
            }
        }
    }

    // MARK: - Nodes

    /// Makes a node that takes data, unless it is there.
    private mutating func add(
        _ id: NodeID, exporters: [ComponentID: PipelineOutput] = [:],
        make: (ComponentSetup, ComponentContext) throws(GatewayError) -> (any PipelineComponent)?,
        edges: (inout GraphNode) -> Void
    ) throws(GatewayError) -> Int {
        if let known = numbers[id] { return known }
        let context = context(id, exporters)
        guard let component = try make(plan.part(id.kind, id.id).setup, context) else {
            preconditionFailure("\(id) describes itself as something else")
        }
        let number = number(id, component, context.account, edges: edges)
        inputs[number] = component.input
        return number
    }

    private func context(
        _ id: NodeID, _ exporters: [ComponentID: PipelineOutput] = [:]
    ) -> ComponentContext {
        var neighbours = ComponentNeighbours()
        neighbours.extensions = extensions
        neighbours.exporters = exporters
        neighbours.shared = shared
        shared.lastUsed = nil
        return ComponentContext(
            id: id.id, kind: id.kind, signal: id.signal, output: id.output, pipeline: id.pipeline,
            gateway: gateway,
            neighbours: neighbours)
    }

    /// Gives a component its number; a part that it shares with others gets one before it.
    @discardableResult
    private mutating func number(
        _ id: NodeID, _ component: any Component, _ account: NodeAccount?,
        edges: (inout GraphNode) -> Void
    ) -> Int {
        var node = GraphNode(id, component, account)
        edges(&node)
        if let key = shared.lastUsed, let part = shared.parts[key] {
            let partID = NodeID(kind: key.kind, id: key.id)
            let number = numbers[partID] ?? append(GraphNode(partID, part))
            node.needs.append(number)
        }
        return append(node)
    }

    private mutating func append(_ node: GraphNode) -> Int {
        nodes.append(node)
        numbers[node.id] = nodes.count - 1
        return nodes.count - 1
    }

    private mutating func setLevels() {
        for index in nodes.indices {
            let behind = (nodes[index].next + nodes[index].needs).map { nodes[$0].level }
            nodes[index].level = behind.max().map { $0 + 1 } ?? 0
        }
        let last = (nodes.map(\.level).max() ?? 0)
        for index in nodes.indices where nodes[index].id.kind == .receiver { nodes[index].level = last }
    }

    /// Puts the component's place before what it says is wrong.
    static func naming<Made>(_ node: NodeID, _ make: () throws -> Made) throws(GatewayError) -> Made {
        do {
            return try make()
        } catch {
            throw GatewayError(description: "\(node.kind.section)::\(node.id)::\(error)")
        }
    }
}
