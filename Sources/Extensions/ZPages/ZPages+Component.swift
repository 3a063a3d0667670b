internal import Configuration
package import Pipeline

extension ZPagesConfig: ComponentConfig {}

extension ComponentType {
    /// `zpages`.
    package static let zpages = `extension`("zpages", ZPagesConfig.self) { config, context in
        ZPages(
            context.gateway, host: config.endpoint.host, port: config.endpoint.port,
            key: "extensions::\(context.name)::endpoint")
    }
}
