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

    /// The detector of a name in `detectors`.
    package init?(name: String) {
        self.init(rawValue: name == "k8snode" ? "k8s_api" : name)
    }

    /// Detectors of the Collector that this version does not have.
    static let notYet: Set<String> = [
        "akamai", "aks", "alibaba_ecs", "consul", "digitalocean", "dynatrace", "elastic_beanstalk",
        "elasticbeanstalk",
        "heroku", "hetzner", "kubeadm", "lambda", "nova", "oraclecloud", "scaleway", "tencent_cvm", "upcloud",
        "vultr",
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
        }
    }

    private func on(_ names: String...) -> [(name: String, isOn: Bool)] { names.map { ($0, true) } }

    /// The section of its settings.
    func isSection(_ key: String) -> Bool { DetectorKind(name: key) == self }
}
