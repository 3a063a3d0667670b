package import Configuration
package import Pipeline

/// The keys of `groupbyattrs`.
package struct GroupByAttributesConfig: ComponentConfig {
    /// Attributes that move from items to resources. Key `keys`.
    package var keys: [String] = []

    package init(_ section: ConfigSection) {
        for key in section.stringList("keys") where !key.isEmpty {
            if keys.contains(key) {
                section.report("keys", warning: "\"\(key)\" stands there more than once")
            } else {
                keys.append(key)
            }
        }
        section.finish()
    }
}

extension ComponentType {
    /// `groupbyattrs`.
    package static let groupByAttributes = processor(
        "groupbyattrs", aliases: ["group_by_attrs"], GroupByAttributesConfig.self
    ) {
        config, context, next in
        EditingProcessor(GroupByAttributesTransform(config, context), context, next: next)
    }
}
