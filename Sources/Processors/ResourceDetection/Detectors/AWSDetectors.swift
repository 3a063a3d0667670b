internal import Configuration
internal import OTLP

extension DetectorKind {
    // MARK: - EC2

    /// The instance's metadata service, version 2: a token first.
    func detectEC2(_ probe: Probe) async throws -> [DetectedAttribute] {
        let base = probe.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? "http://169.254.169.254"
        let token = try await probe.text(
            base + "/latest/api/token", method: "PUT",
            headers: [(name: "X-aws-ec2-metadata-token-ttl-seconds", value: "60")])
        let headers = [(name: "X-aws-ec2-metadata-token", value: token)]
        let document = try await probe.json(
            base + "/latest/dynamic/instance-identity/document", headers: headers)
        let hostName = try await probe.text(base + "/latest/meta-data/hostname", headers: headers)
        return [
            DetectedAttribute("cloud.provider", "aws"), DetectedAttribute("cloud.platform", "aws_ec2"),
            DetectedAttribute("host.name", hostName),
        ]
            + attributes(
                document,
                [
                    ("region", "cloud.region"), ("accountId", "cloud.account.id"),
                    ("availabilityZone", "cloud.availability_zone"), ("instanceId", "host.id"),
                    ("imageId", "host.image.id"), ("instanceType", "host.type"),
                ])
    }

    /// Texts of an answer under other names.
    func attributes(_ tree: JSONTree, _ names: [(key: String, name: String)]) -> [DetectedAttribute] {
        names.compactMap { key, name in tree[key].text.map { DetectedAttribute(name, $0) } }
    }

    // MARK: - ECS

    /// The task's metadata endpoint; nothing outside of a task.
    func detectECS(_ probe: Probe) async throws -> [DetectedAttribute] {
        guard let base = probe.variable("ECS_CONTAINER_METADATA_URI_V4") else { return [] }
        let task = try await probe.json(base + "/task")
        let container = try await probe.json(base)
        guard let arn = task["TaskARN"].text else { throw DetectionError("\(base)/task has no TaskARN") }
        // arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID
        let parts = arn.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 6 else { throw DetectionError("\"\(arn)\" is no ARN") }
        let (region, account) = (parts[3], parts[4])
        var found = [
            DetectedAttribute("cloud.provider", "aws"), DetectedAttribute("cloud.platform", "aws_ecs"),
            DetectedAttribute("cloud.region", region), DetectedAttribute("cloud.account.id", account),
            DetectedAttribute("aws.ecs.task.arn", arn),
            DetectedAttribute("aws.ecs.task.id", String(parts[5].split(separator: "/").last ?? "")),
        ]
        found += attributes(
            task,
            [
                ("AvailabilityZone", "cloud.availability_zone"), ("Family", "aws.ecs.task.family"),
                ("Revision", "aws.ecs.task.revision"),
            ])
        if let cluster = task["Cluster"].text {
            let arn =
                cluster.hasPrefix("arn:")
                ? cluster : "arn:\(parts[1]):ecs:\(region):\(account):cluster/\(cluster)"
            found.append(DetectedAttribute("aws.ecs.cluster.arn", arn))
        }
        if let type = task["LaunchType"].text {
            found.append(DetectedAttribute("aws.ecs.launchtype", type.lowercased()))
        }
        return found + logs(container, region: region, account: account, partition: parts[1])
    }

    /// Where the container's log goes, if that is CloudWatch.
    private func logs(
        _ container: JSONTree, region: String, account: String, partition: String
    ) -> [DetectedAttribute] {
        let options = container["LogOptions"]
        guard container["LogDriver"].text == "awslogs", let group = options["awslogs-group"].text,
            let stream = options["awslogs-stream"].text
        else { return [] }
        let place = options["awslogs-region"].text ?? region
        let arn = "arn:\(partition):logs:\(place):\(account):log-group:\(group)"
        return [
            ("aws.log.group.names", group), ("aws.log.group.arns", arn + ":*"),
            ("aws.log.stream.names", stream),
            ("aws.log.stream.arns", arn + ":log-stream:\(stream)"),
        ].map { DetectedAttribute($0.0, .list([.string($0.1)])) }
    }

    // MARK: - EKS

    /// A cluster whose version says that it is one of EKS; nothing elsewhere.
    func detectEKS(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        guard let cluster = try await ServiceAccount(probe) else { return [] }
        let version = try await cluster.json("/version", probe)
        guard version["gitVersion"].text?.contains("-eks-") == true else { return [] }
        return [DetectedAttribute("cloud.provider", "aws"), DetectedAttribute("cloud.platform", "aws_eks")]
    }
}
