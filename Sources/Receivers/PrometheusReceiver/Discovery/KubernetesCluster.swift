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
    let selector: KubernetesConfig.Selector
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
                server: server, client: config.client, namespaces: namespaces, selector: config.selector)
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
            selector: config.selector)
    }

    /// What looks for the pods, one for each namespace.
    func discoveries(eventLoop: any EventLoop, logger: Logger) -> [any Discovery] {
        let scopes: [String?] = namespaces.isEmpty ? [nil] : namespaces
        return scopes.map {
            KubernetesDiscovery(self, namespace: $0, eventLoop: eventLoop, logger: logger)
        }
    }

    /// The address of the pods of a namespace, or of all, with further parameters.
    func pods(in namespace: String?, _ parameters: [(String, String)]) -> HTTPURL {
        let scope = namespace.map { "namespaces/\(ScrapeTarget.percentEncoded($0))/" } ?? ""
        var query = parameters
        if !selector.label.isEmpty { query.append(("labelSelector", selector.label)) }
        if !selector.field.isEmpty { query.append(("fieldSelector", selector.field)) }
        let text = query.map { "\($0.0)=\(ScrapeTarget.percentEncoded($0.1))" }.joined(separator: "&")
        let base = server.path.hasSuffix("/") ? server.path.dropLast() : server.path
        return HTTPURL(
            origin: server.origin, target: "\(base)/api/v1/\(scope)pods?\(text)",
            basicAuthorization: server.basicAuthorization)
    }

    private static func environment(_ name: String) -> String? {
        // SAFETY: nobody changes the environment after the start; the text is copied.
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }
}
