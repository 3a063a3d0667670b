internal import RegularExpression

/// What becomes of attributes by their keys: `otlp_config` for one of resource, scope and log record.
struct AttributeRules: Sendable, Equatable {
    /// What becomes of an attribute.
    enum Action: String, Sendable, CaseIterable {
        case indexLabel = "index_label"
        case structuredMetadata = "structured_metadata"
        case drop
    }

    /// One entry of a list: these attributes, or those whose whole key matches, that action.
    struct Rule: Sendable, Equatable {
        var action: Action
        var attributes: [String] = []
        var regex: RegularExpression?

        func names(_ key: String) -> Bool {
            regex.map { $0.matches(key) } ?? attributes.contains(key)
        }

        static func == (left: Rule, right: Rule) -> Bool {
            left.action == right.action && left.attributes == right.attributes
                && left.regex?.pattern == right.regex?.pattern
        }
    }

    /// The first rule that names a key decides; a key that none names becomes structured metadata.
    var rules: [Rule] = []

    /// The resource attributes that Loki makes index labels of when nothing is configured.
    static let defaultIndexLabels = [
        "service.name", "service.namespace", "service.instance.id", "deployment.environment",
        "deployment.environment.name", "cloud.region", "cloud.availability_zone", "k8s.cluster.name",
        "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "container.name", "k8s.replicaset.name",
        "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name",
        "k8s.job.name",
    ]

    /// What is to be done with an attribute. A search: the answers are kept by who asks often.
    func action(for key: String) -> Action {
        for rule in rules where rule.names(key) { return rule.action }
        return .structuredMetadata
    }
}
