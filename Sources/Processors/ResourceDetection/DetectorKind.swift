/// A source of attributes. The order of `resourceAttributes` is that of its README.
package enum DetectorKind: String, Sendable, CaseIterable {
    case env
    case system
    case docker
    case k8sNode = "k8s_api"
    case eks
    case ec2
    case ecs
    case gcp
    case azure
    case openshift
    case lambda
    case elasticBeanstalk = "elastic_beanstalk"
    case heroku
    case aks

    /// Other names of detectors, and of the sections of their settings.
    static let otherNames = ["k8snode": k8sNode, "elasticbeanstalk": elasticBeanstalk]

    /// The detector of a name in `detectors`.
    package init?(name: String) {
        guard let kind = Self.otherNames[name] ?? DetectorKind(rawValue: name) else { return nil }
        self = kind
    }

    /// Detectors of the Collector that this version does not have.
    static let notYet: Set<String> = [
        "akamai", "alibaba_ecs", "consul", "digitalocean", "dynatrace", "hetzner", "kubeadm", "nova",
        "oraclecloud", "scaleway", "tencent_cvm", "upcloud", "vultr",
    ]

    /// What is written instead of a detector by those who remember an older Collector, or its cloud.
    static let instead = [
        "gke": "gcp", "gce": "gcp", "aws": "ec2", "k8s_node": "k8s_api", "kubernetes": "k8s_api",
    ]

    /// What it may set, and whether it does unless told otherwise.
    var resourceAttributes: [(name: String, isOn: Bool)] {
        switch self {
        case .env: []
        case .system:
            [("host.name", true), ("os.type", true)]
                + [
                    "host.id", "host.arch", "host.ip", "host.mac", "host.interface", "host.cpu.vendor.id",
                    "host.cpu.family", "host.cpu.model.id", "host.cpu.model.name", "host.cpu.stepping",
                    "host.cpu.cache.l2.size", "os.description", "os.name", "os.version", "os.build.id",
                ].map { ($0, false) }
        case .docker:
            [
                ("host.name", true), ("os.type", true), ("container.name", false),
                ("container.image.name", false),
            ]
        case .k8sNode: on("k8s.node.name", "k8s.node.uid", "k8s.cluster.uid")
        case .eks: on("cloud.provider", "cloud.platform")
        case .ec2:
            on(
                "cloud.provider", "cloud.platform", "cloud.region", "cloud.account.id",
                "cloud.availability_zone",
                "host.id", "host.image.id", "host.name", "host.type")
        case .ecs:
            on(
                "cloud.provider", "cloud.platform", "cloud.region", "cloud.account.id",
                "cloud.availability_zone",
                "aws.ecs.cluster.arn", "aws.ecs.task.arn", "aws.ecs.task.id", "aws.ecs.task.family",
                "aws.ecs.task.revision", "aws.ecs.launchtype", "aws.log.group.names", "aws.log.group.arns",
                "aws.log.stream.names", "aws.log.stream.arns")
        case .gcp:
            on(
                "cloud.provider", "cloud.platform", "cloud.region", "cloud.account.id",
                "cloud.availability_zone",
                "host.id", "host.name", "host.type", "k8s.cluster.name", "faas.name", "faas.version",
                "faas.id",
                "faas.instance", "gcp.cloud_run.job.execution", "gcp.cloud_run.job.task_index")
                + [("gcp.gce.instance.name", false), ("gcp.gce.instance.hostname", false)]
        case .azure:
            on(
                "cloud.provider", "cloud.platform", "cloud.region", "cloud.account.id", "host.id",
                "host.name",
                "azure.vm.name", "azure.vm.size", "azure.vm.scaleset.name", "azure.resourcegroup.name")
        case .openshift: on("k8s.cluster.name", "cloud.provider", "cloud.platform", "cloud.region")
        case .lambda:
            on(
                "cloud.provider", "cloud.platform", "cloud.region", "faas.name", "faas.version",
                "faas.instance", "faas.max_memory", "aws.log.group.names", "aws.log.stream.names")
        case .elasticBeanstalk:
            on(
                "cloud.provider", "cloud.platform", "deployment.environment", "service.instance.id",
                "service.version")
        case .heroku:
            on(
                "cloud.provider", "heroku.app.id", "heroku.release.commit",
                "heroku.release.creation_timestamp", "service.instance.id", "service.name", "service.version")
        case .aks: on("cloud.provider", "cloud.platform")
        }
    }

    /// What the Collector's detector may set beside that, when it is told to.
    var attributesNotBuilt: [String] {
        guard self == .eks else { return [] }
        return [
            "cloud.account.id", "cloud.availability_zone", "cloud.region", "host.id", "host.image.id",
            "host.name", "host.type", "k8s.cluster.name",
        ]
    }

    private func on(_ names: String...) -> [(name: String, isOn: Bool)] { names.map { ($0, true) } }

    /// The section of its settings.
    func isSection(_ key: String) -> Bool { DetectorKind(name: key) == self }
}
