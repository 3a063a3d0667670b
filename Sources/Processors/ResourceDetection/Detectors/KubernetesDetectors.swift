internal import Configuration
internal import OTLP

/// The API server of the cluster that the process runs in, with the pod's own credentials.
struct ServiceAccount: Sendable {
    private static let folder = "/var/run/secrets/kubernetes.io/serviceaccount/"

    let server: String
    private let token: String
    private let authority: String

    /// Nil outside of a cluster.
    init?(_ probe: Probe) async throws {
        guard let host = probe.variable("KUBERNETES_SERVICE_HOST"),
            let port = probe.variable("KUBERNETES_SERVICE_PORT")
        else { return nil }
        let name = host.contains(":") ? "[\(host)]" : host
        // Tests put the scheme into the host.
        server = host.hasPrefix("http://") ? "\(host):\(port)" : "https://\(name):\(port)"
        guard let token = try await probe.file(Self.folder + "token") else {
            throw DetectionError("\(Self.folder)token cannot be read")
        }
        self.token = DetectorKind.trimmed(token[...])
        authority = probe.root + Self.folder + "ca.crt"
    }

    func json(_ path: String, _ probe: Probe, server other: String = "", token own: Secret? = nil)
        async throws -> JSONTree
    {
        var tls = ClientTLSConfig()
        tls.shared.ca = .file(authority)
        return try await probe.json(
            (other.isEmpty ? server : other) + path,
            headers: [(name: "Authorization", value: "Bearer \(own?.value ?? token)")], tls: tls)
    }
}

extension DetectorKind {
    /// The node that the process's pod is on.
    func detectNode(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        guard let node = probe.variable(config.nodeVariable) else {
            throw DetectionError(
                "the environment variable \(config.nodeVariable) is not set to the name of the node")
        }
        guard let cluster = try await ServiceAccount(probe) else {
            throw DetectionError("the process runs in no cluster (KUBERNETES_SERVICE_HOST is not set)")
        }
        var found = [DetectedAttribute("k8s.node.name", node)]
        if config.wants("k8s.node.uid", of: self) {
            let answer = try await cluster.json("/api/v1/nodes/\(node)", probe)
            if let uid = answer["metadata"]["uid"].text {
                found.append(DetectedAttribute("k8s.node.uid", uid))
            }
        }
        if config.wants("k8s.cluster.uid", of: self) {
            let answer = try await cluster.json("/api/v1/namespaces/kube-system", probe)
            if let uid = answer["metadata"]["uid"].text {
                found.append(DetectedAttribute("k8s.cluster.uid", uid))
            }
        }
        return found
    }

    /// The infrastructure that an OpenShift cluster says it runs on.
    func detectOpenShift(_ config: ResourceDetectionConfig, _ probe: Probe) async throws
        -> [DetectedAttribute]
    {
        guard let cluster = try await ServiceAccount(probe) else {
            throw DetectionError("the process runs in no cluster (KUBERNETES_SERVICE_HOST is not set)")
        }
        let answer = try await cluster.json(
            "/apis/config.openshift.io/v1/infrastructures/cluster", probe, server: config.openshiftAddress,
            token: config.openshiftToken)
        let status = answer["status"]
        var found = attributes(status, [("infrastructureName", "k8s.cluster.name")])
        let platform = status["platformStatus"]
        switch (status["platform"].text ?? platform["type"].text ?? "").lowercased() {
        case "aws":
            found += [
                DetectedAttribute("cloud.provider", "aws"),
                DetectedAttribute("cloud.platform", "aws_openshift"),
            ]
            found += attributes(platform["aws"], [("region", "cloud.region")])
        case "azure":
            found += [
                DetectedAttribute("cloud.provider", "azure"),
                DetectedAttribute("cloud.platform", "azure_openshift"),
            ]
            found += attributes(platform["azure"], [("cloudName", "cloud.region")])
        case "gcp":
            found += [
                DetectedAttribute("cloud.provider", "gcp"),
                DetectedAttribute("cloud.platform", "gcp_openshift"),
            ]
            found += attributes(platform["gcp"], [("region", "cloud.region")])
        case "ibmcloud":
            found += [
                DetectedAttribute("cloud.provider", "ibm_cloud"),
                DetectedAttribute("cloud.platform", "ibm_cloud_openshift"),
            ]
            found += attributes(platform["ibmcloud"], [("location", "cloud.region")])
        default: break
        }
        return found
    }
}
