internal import ItemMatching
package import OTLP
package import Pipeline

/// `attributes`: changes the attributes of spans, records and data points.
package final class AttributesTransform: RequestTransform {
    private let actions: ActionList
    private let selection: ItemSelection

    /// - Throws: why the configuration is not valid for the signal.
    package init(_ config: AttributesConfig, _ signal: Signal) throws {
        actions = try ActionList(config.actions)
        selection = try ItemSelection(config.selection, signal)
    }

    package var changesItems: Bool { false }

    package func apply(to request: RequestEditor, _ context: EditContext) {
        let values = actions.contextValues(context)
        selection.forEachItem(of: request) { place in
            switch context.signal {
            case .traces:
                actions.apply(to: request, request.attributes(place.item, Field.Span.attributes), values)
            case .logs:
                actions.apply(to: request, request.attributes(place.item, Field.LogRecord.attributes), values)
            case .metrics:
                request.forEachPoint(place.item) { point in
                    actions.apply(to: request, point.attributes, values)
                    return .keep
                }
            }
        }
    }
}

/// `resource`: changes the attributes of resources.
package final class ResourceTransform: RequestTransform {
    private let actions: ActionList

    /// - Throws: why the configuration is not valid.
    package init(_ config: ResourceConfig) throws {
        actions = try ActionList(config.actions)
    }

    package var changesItems: Bool { false }

    package func apply(to request: RequestEditor, _ context: EditContext) {
        let values = actions.contextValues(context)
        request.forEachResource { place in
            actions.apply(to: request, request.attributes(place.resource, Field.Resource.attributes), values)
            return .keep
        }
    }
}
