internal import Configuration
package import Pipeline

extension HealthCheckConfig: ComponentConfig {}

extension ComponentType {
    /// `health_check`.
    package static let healthCheck = `extension`(
        "health_check", aliases: ["healthcheckv2"], HealthCheckConfig.self
    ) { config, context in
        HealthCheck(
            group: context.gateway.group, host: config.endpoint.host, port: config.endpoint.port,
            path: config.path, healthyBody: config.responseBody?.healthy ?? "",
            unhealthyBody: config.responseBody?.unhealthy ?? "", key: "extensions::\(context.name)::endpoint",
            state: context.gateway.health)
    }
}
