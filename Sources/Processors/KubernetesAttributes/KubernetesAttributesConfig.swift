package import Configuration
internal import ItemMatching
internal import Pipeline
internal import RegularExpression

/// The keys of `k8s_attributes`.
package struct KubernetesAttributesConfig: ComponentConfig {
    /// Where a value that identifies a pod comes from.
    package enum Source: Sendable, Hashable {
        /// The address of the connection's other end.
        case connection
        case resourceAttribute(String)
    }

    /// How the API server is asked: `auth_type`.
    package enum Authentication: String, Sendable, CaseIterable {
        case none
        case serviceAccount
    }

    package var authentication = Authentication.serviceAccount
    /// Whether only `k8s.pod.ip` is set, and nobody asked. Key `passthrough`.
    package var passesThrough = false
    /// Whether the start waits for the first list. Key `wait_for_metadata`.
    package var waits = false
    /// Key `wait_for_metadata_timeout`.
    package var waitTimeout = Duration.seconds(10)
    /// How long a deleted pod stays known. Key `pod_delete_grace_period`.
    package var gracePeriod = Duration.seconds(120)
    package var extraction = ExtractionConfig()
    package var filter = FilterConfig()
    /// Key `pod_association`: rules, each with the sources that must all have a value.
    package var associations: [[Source]] = []
    /// Regular expressions of the names of pods that are left alone. Key `exclude::pods`.
    package var excludedPods = ["jaeger-agent", "jaeger-collector"]

    package init(_ section: ConfigSection) {
        authentication = section.choice("auth_type", default: authentication, notYet: ["kubeConfig", "tls"])
        section.notSupportedYet("context", "it belongs to auth_type kubeConfig")
        section.ignored("kube_api_qps", "each kind is listed once and watched")
        section.ignored("kube_api_burst", "each kind is listed once and watched")
        section.ignored("watch_sync_period", "changes are told by the watch")
        passesThrough = section.bool("passthrough", default: false)
        waits = section.bool("wait_for_metadata", default: false)
        waitTimeout = section.duration("wait_for_metadata_timeout", default: waitTimeout)
        gracePeriod = section.duration("pod_delete_grace_period", default: gracePeriod)
        if let own = section.section("extract") { extraction = ExtractionConfig(own) }
        if let own = section.section("filter") { filter = FilterConfig(own) }
        for rule in section.sectionList("pod_association") ?? [] { readAssociation(rule) }
        if let excluded = section.section("exclude"), let pods = excluded.sectionList("pods") {
            excludedPods = pods.compactMap { pod in
                guard let name = pod.optionalString("name") else { return nil }
                do throws(MatchError) { _ = try RegularExpression.goPattern(name) } catch {
                    pod.report("name", error: error.description)
                    return nil
                }
                return name
            }
        }
        section.finish()
    }

    private mutating func readAssociation(_ section: ConfigSection) {
        var sources: [Source] = []
        // Of old, a rule was its one source.
        let isOld = section.isWritten("from") && !section.isWritten("sources")
        if isOld { section.report("from", warning: "is deprecated", help: "write sources: [{from: …}]") }
        for source in isOld ? [section] : section.sectionList("sources") ?? [] {
            let name = source.optionalString("name") ?? ""
            switch source.optionalString("from") {
            case "connection": sources.append(.connection)
            case "resource_attribute":
                if name.isEmpty { source.report(nil, error: "needs the \"name\" of a resource attribute") }
                sources.append(.resourceAttribute(name))
            case let other:
                source.report(
                    other == nil ? nil : "from",
                    error: "unknown source \"\(other ?? "")\"; must be connection or resource_attribute")
            }
        }
        if sources.count > 4 {
            section.report(
                "sources", error: "too many association sources, limit is 4, found \(sources.count)")
        }
        if sources.isEmpty {
            section.report(nil, error: "a rule needs \"sources\"")
        } else {
            associations.append(sources)
        }
    }
}

/// Which objects are watched: `filter`.
package struct FilterConfig: Sendable, Equatable {
    package var node = ""
    package var namespace = ""
    /// Selectors in the API server's words.
    package var fields: [String] = []
    package var labels: [String] = []

    package init() {}

    package init(_ section: ConfigSection) {
        node = section.string("node", default: "")
        namespace = section.string("namespace", default: "")
        if let variable = section.optionalString("node_from_env_var") {
            node = Environment.variable(variable) ?? ""
            let problem = "`node_from_env_var` is configured but envvar \"\(variable)\" is not set"
            if node.isEmpty, section.diagnostics.toleratesMissingFiles {
                section.report(
                    "node_from_env_var", warning: problem, help: "it must be set when the gateway starts")
            } else if node.isEmpty {
                section.report(
                    "node_from_env_var", error: problem,
                    help: "set it from spec.nodeName by the pod's downward API, or remove node_from_env_var")
            }
        }
        fields = Self.selectors("fields", section, ["equals", "not-equals"])
        labels = Self.selectors("labels", section, ["equals", "not-equals", "exists", "does-not-exist"])
    }

    private static func selectors(_ key: String, _ section: ConfigSection, _ operations: [String]) -> [String]
    {
        (section.sectionList(key) ?? []).compactMap { selector in
            guard let name = selector.optionalString("key") else {
                selector.report(nil, error: "needs a \"key\"")
                return nil
            }
            let value = selector.string("value", default: "")
            switch selector.choice("op", of: operations, default: "equals") {
            case "equals": return "\(name)=\(value)"
            case "not-equals": return "\(name)!=\(value)"
            case "exists": return name
            case "does-not-exist": return "!\(name)"
            default: return nil
            }
        }
    }
}
