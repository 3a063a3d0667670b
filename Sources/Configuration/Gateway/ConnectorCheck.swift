internal import OTLP

/// Checks how connectors join pipelines, with the Collector's rules.
struct ConnectorCheck {
    let connectors: GatewayReader.Definitions
    let receivers: [ComponentID]
    let exporters: [ComponentID]
    let pipelines: [GatewayConfig.Pipeline]
    let diagnostics: Diagnostics

    func check() {
        for connector in connectors.usable {
            checkName(connector.id, connector.section)
            checkUse(connector.id, connector.entry, connector.section)
        }
        if !diagnostics.hasErrors { checkCycles() }
    }

    private func checkName(_ id: ComponentID, _ section: ConfigSection) {
        for (kind, ids) in [(ComponentKind.exporter, exporters), (.receiver, receivers)]
        where ids.contains(id) {
            section.report(
                nil,
                error: "ambiguous ID: Found both \(quoted(id.description)) \(kind.rawValue) and "
                    + "\(quoted(id.description)) connector. Change one of the components' IDs to eliminate "
                    + "ambiguity (e.g. rename \(quoted(id.description)) connector to \(quoted("\(id)/connector")))"
            )
        }
    }

    /// Every use on one side needs a use on the other side that the connector can serve.
    private func checkUse(_ id: ComponentID, _ entry: ComponentCatalogue.Entry, _ section: ConfigSection) {
        let from = pipelines.filter { $0.exporters.contains(id) }
        let to = pipelines.filter { $0.receivers.contains(id) }
        let lonelySenders = from.filter { sender in
            !to.contains { entry.pairs.contains(SignalPair(sender.id.signal, $0.id.signal)) }
        }
        let lonelyReceivers = to.filter { receiver in
            !from.contains { entry.pairs.contains(SignalPair($0.id.signal, receiver.id.signal)) }
        }
        let pairs = entry.pairs.map(\.description).sorted().joined(separator: ", ")
        for (lonely, side, other) in [
            (lonelySenders, "exporter", "receiver"), (lonelyReceivers, "receiver", "exporter"),
        ] where !lonely.isEmpty {
            let names = lonely.map { "\($0.id)" }.joined(separator: ", ")
            section.report(
                nil,
                error:
                    "connector \(quoted(id.description)) used as \(side) in [\(names)] pipeline but not used "
                    + "in any supported \(other) pipeline",
                help: "name it under \"\(other)s:\" of another pipeline; it connects \(pairs)")
        }
    }

    // MARK: Cycles

    /// A way from a connector back to itself, as the steps that a message shows.
    private func checkCycles() {
        var finished: Set<PipelineID> = []
        for pipeline in pipelines where !finished.contains(pipeline.id) {
            if visit(pipeline, [], &finished) { return }
        }
    }

    private typealias Step = (connector: ComponentID, from: PipelineID, to: GatewayConfig.Pipeline)

    private func visit(
        _ pipeline: GatewayConfig.Pipeline, _ way: [Step], _ finished: inout Set<PipelineID>
    ) -> Bool {
        if let start = way.firstIndex(where: { $0.from == pipeline.id }) {
            report(way[start...])
            return true
        }
        guard !finished.contains(pipeline.id) else { return false }
        for connector in connectors.usable where pipeline.exporters.contains(connector.id) {
            for next in pipelines where next.receivers.contains(connector.id) {
                let pair = SignalPair(pipeline.id.signal, next.id.signal)
                guard connector.entry.pairs.contains(pair) else { continue }
                if visit(next, way + [(connector.id, pipeline.id, next)], &finished) { return true }
            }
        }
        finished.insert(pipeline.id)
        return false
    }

    private func report(_ cycle: ArraySlice<Step>) {
        var words: [String] = []
        for step in cycle {
            words.append(
                "connector \(quoted(step.connector.description)) "
                    + "(\(SignalPair(step.from.signal, step.to.id.signal)))")
            words += step.to.processors.map {
                "processor \(quoted($0.description)) in pipeline \(quoted(step.to.id.description))"
            }
        }
        if let first = words.first { words.append(first) }
        let section = connectors.usable.first { $0.id == cycle.first?.connector }?.section
        section?.report(
            nil, error: "cycle detected: " + words.joined(separator: " -> "),
            help: "take the connector out of the receivers of one of these pipelines")
    }
}
