internal import Configuration
internal import HTTP

/// One entry of `kubernetes_sd_configs`.
struct KubernetesConfig: Sendable, Equatable {
    /// Which pods, as the API server understands it.
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
    /// For role `pod`. Key `selectors`.
    var selector = Selector()
    /// Credentials and TLS; in a cluster, the pod's own token and authority unless given.
    var client = ScrapeClientConfig()

    init(server: HTTPURL?) { self.server = server }

    init(_ section: ConfigSection) {
        let otherRoles = ["node", "service", "endpoints", "endpointslice", "ingress"]
        if !section.has("role") {
            section.report(nil, error: "requires \"role\"", help: "write role: pod")
        }
        _ = section.choice("role", of: ["pod"], default: "pod", notYet: otherRoles)
        if let text = section.scalar("api_server") { server = Self.url(text, section) }
        section.notSupportedYet("kubeconfig_file", "write api_server, authorization and tls_config")
        section.notSupportedYet("attach_metadata")
        if let section = section.section("namespaces") {
            namespaces = section.scalarList("names") ?? []
            includesOwnNamespace = section.bool("own_namespace", default: false)
        }
        for section in section.sectionList("selectors") ?? [] {
            let role = section.scalar("role") ?? ""
            selector.label = section.scalar("label") ?? ""
            selector.field = section.scalar("field") ?? ""
            if role != "pod" { section.report("role", error: "\"\(role)\" is not the role; write pod") }
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
