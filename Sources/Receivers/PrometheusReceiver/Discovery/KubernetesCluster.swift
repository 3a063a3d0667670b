internal import Configuration
internal import Glibc
internal import HTTP
internal import Logging
internal import NIOCore

/// An API server, and what it is asked: one entry of `kubernetes_sd_configs`, resolved.
struct KubernetesCluster: Sendable {
    let server: HTTPURL
    /// Credentials for it.
    let client: ScrapeClientConfig
    /// Empty = all of them.
    let namespaces: [String]
    let role: KubernetesConfig.Role
    let selectors: [KubernetesConfig.Role: KubernetesConfig.Selector]
    /// For `https`.
    var tls: ClientTLS?

    private static let account = "/var/run/secrets/kubernetes.io/serviceaccount/"

    /// Finds the API server: the one that is named, or that of the cluster which the process runs in. Blocks.
    static func find(_ config: KubernetesConfig, job: String) throws(PrometheusReceiverError)
        -> KubernetesCluster
    {
        var namespaces = config.namespaces
        if config.includesOwnNamespace {
            guard let bytes = SmallFile.read(account + "namespace", bytesMax: 1024) else {
                throw PrometheusReceiverError(
                    description: "job \(job): kubernetes_sd_configs::namespaces::own_namespace: cannot read"
                        + " \(account)namespace; write the namespace under names")
            }
            namespaces.append(String(decoding: bytes, as: UTF8.self))
        }
        if let server = config.server {
            return KubernetesCluster(
                server: server, client: config.client, namespaces: namespaces, role: config.role,
                selectors: config.selectors)
        }
        guard let host = environment("KUBERNETES_SERVICE_HOST"), !host.isEmpty,
            let port = environment("KUBERNETES_SERVICE_PORT").flatMap({ Int($0) })
        else {
            throw PrometheusReceiverError(
                description: "job \(job): kubernetes_sd_configs: the process runs in no cluster"
                    + " (KUBERNETES_SERVICE_HOST is not set); write api_server")
        }
        var client = config.client
        if client.authorization == nil {
            client.authorization = .token(type: "Bearer", .file(account + "token"))
        }
        if client.tls.shared.ca == nil { client.tls.shared.ca = .file(account + "ca.crt") }
        let origin = HTTPOrigin(scheme: .https, host: host, port: port)
        return KubernetesCluster(
            server: HTTPURL(origin: origin, target: "/"), client: client, namespaces: namespaces,
            role: config.role, selectors: config.selectors)
    }

    /// What looks for the objects, one for each namespace; nodes are in none.
    func discoveries(eventLoop: any EventLoop, logger: Logger) -> [any Discovery] {
        let scopes: [String?] = namespaces.isEmpty || role == .node ? [nil] : namespaces
        return scopes.map {
            KubernetesDiscovery(self, namespace: $0, eventLoop: eventLoop, logger: logger)
        }
    }

    /// The address of the objects of a namespace, or of all, with further parameters.
    func list(_ role: KubernetesConfig.Role, in namespace: String?, _ parameters: [(String, String)])
        -> HTTPURL
    {
        let scope = namespace.map { "namespaces/\(ScrapeTarget.percentEncoded($0))/" } ?? ""
        var query = parameters
        if let selector = selectors[role] {
            if !selector.label.isEmpty { query.append(("labelSelector", selector.label)) }
            if !selector.field.isEmpty { query.append(("fieldSelector", selector.field)) }
        }
        let text = query.map { "\($0.0)=\(ScrapeTarget.percentEncoded($0.1))" }.joined(separator: "&")
        let api = role == .endpointslice ? "/apis/discovery.k8s.io/v1" : "/api/v1"
        let base = server.path.hasSuffix("/") ? server.path.dropLast() : server.path
        return HTTPURL(
            origin: server.origin, target: "\(base)\(api)/\(scope)\(role.plural)?\(text)",
            basicAuthorization: server.basicAuthorization)
    }

    private static func environment(_ name: String) -> String? {
        // SAFETY: nobody changes the environment after the start; the text is copied.
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }
}
