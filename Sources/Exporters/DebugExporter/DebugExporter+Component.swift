package import Configuration
package import Pipeline

extension DebugConfig: ComponentConfig {
    package init(_ section: ConfigSection) { self.init(section, isLogging: false) }

    package static func read(_ section: ConfigSection, of id: ComponentID) -> DebugConfig {
        DebugConfig(section, isLogging: id.type == "logging")
    }
}

extension ComponentType {
    /// `debug`; `logging` is its former name.
    package static let debugExporter = exporter(
        "debug", aliases: [Alias("logging", deprecation: "write debug instead")], DebugConfig.self
    ) { config, context in
        let sender = try DebugSender(
            config, signal: context.signal, eventLoop: context.eventLoop, logger: context.logger)
        return SendingQueue(config.effectiveQueue, sender: sender, context)
    }
}
