/// Tags that are a resource's: those of the semantic conventions 1.6.1, as the Collector has them.
enum ZipkinResource {
    static let attributes: [String] = {
        var names = [
            "deployment.environment", "opencensus.starttime", "opencensus.exporterversion",
            "opencensus.resourcetype",
        ]
        let groups: [(String, [String])] = [
            ("cloud", ["provider", "account.id", "region", "availability_zone", "platform"]),
            (
                "aws",
                [
                    "ecs.container.arn", "ecs.cluster.arn", "ecs.launchtype", "ecs.task.arn",
                    "ecs.task.family",
                    "ecs.task.revision", "eks.cluster.arn", "log.group.names", "log.group.arns",
                    "log.stream.names", "log.stream.arns",
                ]
            ),
            ("container", ["name", "id", "runtime", "image.name", "image.tag"]),
            ("device", ["id", "model.identifier", "model.name"]),
            ("faas", ["name", "id", "version", "instance", "max_memory"]),
            ("host", ["id", "name", "type", "arch", "image.name", "image.id", "image.version"]),
            (
                "k8s",
                [
                    "cluster.name", "node.name", "node.uid", "namespace.name", "pod.uid", "pod.name",
                    "container.name", "replicaset.uid", "replicaset.name", "deployment.uid",
                    "deployment.name",
                    "statefulset.uid", "statefulset.name", "daemonset.uid", "daemonset.name", "job.uid",
                    "job.name", "cronjob.uid", "cronjob.name",
                ]
            ),
            ("os", ["type", "description", "name", "version"]),
            (
                "process",
                [
                    "pid", "executable.name", "executable.path", "command", "command_line", "command_args",
                    "owner", "runtime.name", "runtime.version", "runtime.description",
                ]
            ),
            ("service", ["name", "namespace", "instance.id", "version"]),
            ("telemetry", ["sdk.name", "sdk.language", "sdk.version", "auto.version"]),
            ("webengine", ["name", "version", "description"]),
        ]
        for (group, rest) in groups { names += rest.map { group + "." + $0 } }
        return names
    }()

    private static let known = Set(
        (attributes + ["otlp.service.name.source", "otel.library.name", "otel.library.version"]).map {
            Array($0.utf8)
        })

    /// Whether a tag never becomes an attribute of a span.
    static func isOfResource(_ key: [UInt8]) -> Bool { known.contains(key) }
}
