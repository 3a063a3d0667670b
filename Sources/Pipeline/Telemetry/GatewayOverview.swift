/// What the gateway is made of, in the words of its configuration, for pages about it.
package struct GatewayOverview: Sendable {
    /// One pipeline.
    package struct Pipeline: Sendable {
        package let id: String
        package let receivers: [String]
        package let processors: [String]
        package let exporters: [String]

        package init(id: String, receivers: [String], processors: [String], exporters: [String]) {
            self.id = id
            self.receivers = receivers
            self.processors = processors
            self.exporters = exporters
        }
    }

    package var pipelines: [Pipeline]
    /// In the order in which they start.
    package var extensions: [String]

    package init(pipelines: [Pipeline] = [], extensions: [String] = []) {
        self.pipelines = pipelines
        self.extensions = extensions
    }
}
