package import OTLP
package import Pipeline

/// `resource_detection`: adds what was detected to every resource.
package final class DetectionTransform: RequestTransform {
    private let overrides: Bool
    private let resource: DetectedResource

    package init(_ config: ResourceDetectionConfig, _ resource: DetectedResource) {
        overrides = config.overrides
        self.resource = resource
    }

    package var changesItems: Bool { false }

    package func apply(to request: RequestEditor, _ context: EditContext) {
        let attributes = resource.attributes
        guard !attributes.isEmpty else { return }
        request.forEachResource { place in
            let table = request.attributes(place.resource, Field.Resource.attributes)
            for attribute in attributes {
                if let position = request.find(attribute.key.bytes, in: table) {
                    if overrides { request.setValue(table, at: position, to: attribute.value.value) }
                } else {
                    request.set(attribute.key.bytes, to: attribute.value.value, in: table)
                }
            }
            return .keep
        }
    }
}
