internal import Configuration
internal import HTTP

/// One entry of `kubernetes_sd_configs`.
struct KubernetesConfig: Sendable, Equatable {
    /// What becomes targets.
    enum Role: String, Sendable, CaseIterable {
        case pod, node, service, endpoints, endpointslice

        /// As the API server names the objects.
        var plural: String {
            switch self {
            case .endpoints: rawValue
            case .pod, .node, .service, .endpointslice: rawValue + "s"
            }
        }

        /// The roles whose objects are asked for.
        var asked: [Role] {
            switch self {
            case .pod, .node, .service: [self]
            case .endpoints, .endpointslice: [self, .service, .pod]
            }
        }
    }

    /// Which objects of a role, as the API server understands it.
    struct Selector: Sendable, Equatable {
        var label = ""
        var field = ""
    }

    /// nil = the cluster that the gateway runs in. Key `api_server`.
    var server: HTTPURL?
    /// Empty = all. Key `namespaces::names`.
    var namespaces: [String] = []
    /// Key `namespaces::own_namespace`.
    var includesOwnNamespace = false
    /// Key `role`.
    var role = Role.pod
    /// By the role of the objects. Key `selectors`.
    var selectors: [Role: Selector] = [:]
    /// Credentials and TLS; in a cluster, the pod's own token and authority unless given.
    var client = ScrapeClientConfig()

    init(server: HTTPURL?) { self.server = server }

    init(_ section: ConfigSection) {
        if !section.has("role") {
            section.report(nil, error: "requires \"role\"", help: "write role: pod")
        }
        role = section.choice("role", default: .pod, notYet: ["ingress"])
        if let text = section.scalar("api_server") { server = Self.url(text, section) }
        section.notSupportedYet("kubeconfig_file", "write api_server, authorization and tls_config")
        section.notSupportedYet("attach_metadata")
        if let section = section.section("namespaces") {
            namespaces = section.scalarList("names") ?? []
            includesOwnNamespace = section.bool("own_namespace", default: false)
        }
        for section in section.sectionList("selectors") ?? [] {
            let text = section.scalar("role") ?? ""
            let selector = Selector(
                label: section.scalar("label") ?? "", field: section.scalar("field") ?? "")
            guard let role = Role(rawValue: text), self.role.asked.contains(role) else {
                let asked = self.role.asked.map(\.rawValue).joined(separator: " or ")
                section.report("role", error: "\"\(text)\" is not asked for; write \(asked)")
                continue
            }
            selectors[role] = selector
        }
        client = ScrapeClientConfig(section)
    }

    private static func url(_ text: String, _ section: ConfigSection) -> HTTPURL? {
        do throws(HTTPURLProblem) {
            return try HTTPURL(text)
        } catch {
            section.report("api_server", error: "\"\(text)\" \(error)")
            return nil
        }
    }
}
