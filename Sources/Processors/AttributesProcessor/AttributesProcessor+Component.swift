package import Configuration
package import ItemMatching
package import OTLP
package import Pipeline

/// The keys of `attributes`.
package struct AttributesConfig: ComponentConfig {
    /// Key `actions`.
    package var actions: [ActionConfig] = []
    /// Keys `include` and `exclude`.
    package var selection = SelectionConfig()

    package init(_ section: ConfigSection) {
        actions = ActionConfig.list("actions", of: section)
        selection = SelectionConfig(section)
        section.finish()
    }

    package func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {
        selection.check(usedFor: signals, section)
        guard signals.contains(.metrics) else { return }
        for (key, config) in [("include", selection.include), ("exclude", selection.exclude)]
        where config?.resources.isEmpty == false {
            section.report(
                key, warning: "\"resources\" is not asked of metrics, as in the Collector",
                help: "use the filter processor, or several pipelines")
        }
    }
}

/// The keys of `resource`.
package struct ResourceConfig: ComponentConfig {
    /// Key `attributes`.
    package var actions: [ActionConfig] = []

    package init(_ section: ConfigSection) {
        actions = ActionConfig.list("attributes", of: section)
        section.finish()
    }
}

extension ComponentType {
    /// `attributes`.
    package static let attributes = processor("attributes", AttributesConfig.self) { config, context, next in
        EditingProcessor(try AttributesTransform(config, context.signal), context, next: next)
    }

    /// `resource`.
    package static let resource = processor("resource", ResourceConfig.self) { config, context, next in
        EditingProcessor(try ResourceTransform(config), context, next: next)
    }
}
