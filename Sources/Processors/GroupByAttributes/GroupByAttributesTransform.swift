package import OTLP
package import Pipeline

/// `groupbyattrs`: moves attributes from items to resources, and merges equal resources and scopes.
package final class GroupByAttributesTransform: RequestTransform {
    private let keys: [OwnedBytes]
    private let grouped: Counter
    private let notGrouped: Counter
    private let groups: Histogram

    package init(_ config: GroupByAttributesConfig, _ context: ComponentContext) {
        keys = config.keys.map { OwnedBytes($0) }
        let (signal, items) =
            switch context.signal {
            case .traces: ("span", "spans")
            case .metrics: ("metric", "metrics")
            case .logs: ("log", "logs")
            }
        let prefix = "otelcol_processor_groupbyattrs_"
        grouped = context.registry.counter(
            prefix + "num_grouped_" + items, help: "Number of \(items) that had attributes grouped")
        notGrouped = context.registry.counter(
            prefix + "num_non_grouped_" + items,
            help: "Number of \(items) that did not have attributes grouped")
        groups = context.registry.histogram(
            prefix + signal + "_groups", help: "Distribution of groups extracted for \(items)",
            bounds: [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000])
    }

    package var changesItems: Bool { false }
    package var needsWholeBatch: Bool { true }

    package func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        try GroupCopies.check(request, context.signal, keys)
        var result = GroupedRequest(request)
        request.forEachResource { resource in
            result.begin(request.content(resource.resource))
            request.forEachScope(of: resource) { scope in
                result.begin(scope: request.content(scope.scope))
                request.forEachItem(of: scope) { place in
                    if context.signal == .metrics {
                        add(metric: place.item, of: request, to: &result)
                    } else {
                        let number =
                            context.signal == .traces ? Field.Span.attributes : Field.LogRecord.attributes
                        let moved = move(request.attributes(place.item, number), of: request)
                        result.add(item: request.content(place.item), moved: moved)
                    }
                    return .keep
                }
                return .keep
            }
            return .keep
        }
        groups.observe(Double(result.count))
        request.remove(request.root, Field.Request.resources)
        result.write(to: request)
    }

    private func add(
        metric: MessageID, of request: RequestEditor, to result: inout GroupedRequest
    ) {
        let source = request.content(metric)
        var kind: UInt32?
        request.forEachPoint(metric) { point in
            if kind != point.kind {
                kind = point.kind
                result.begin(metric: source, kind: point.kind)
            }
            let moved = move(point.attributes, of: request)
            result.add(
                point: request.content(point.point), metric: source, kind: point.kind, moved: moved)
            return .keep
        }
    }

    /// Takes the listed attributes out of an item.
    private func move(_ table: AttributeTable, of request: RequestEditor) -> [Attribute] {
        var moved: [Attribute] = []
        for key in keys {
            guard let position = request.find(key.bytes, in: table) else { continue }
            // The old content stays where it is until the next request.
            moved.append(Attribute(request.content(table.message, at: position)))
            request.remove(key.bytes, in: table)
        }
        (moved.isEmpty ? notGrouped : grouped).add(1)
        return moved
    }
}
