package import Configuration
internal import ItemMatching
package import RegularExpression

/// What is taken from Kubernetes: `extract`.
package struct ExtractionConfig: Sendable, Equatable {
    /// The kind of object that a label or an annotation is taken from.
    package enum Kind: String, Sendable, CaseIterable {
        case pod
        case namespace
        case node
        case deployment
        case replicaset
        case statefulset
        case daemonset
        case job
    }

    /// One entry of `labels` or `annotations`.
    package struct FieldRule: Sendable, Equatable {
        package var tagName = ""
        package var key = ""
        package var pattern: RegularExpression?
        package var kind = Kind.pod
    }

    /// All names that `metadata` may have.
    static let known: Set<String> = Set(
        defaults + [
            "k8s.container.name", "k8s.pod.hostname", "k8s.pod.ip", "k8s.node.uid", "k8s.cluster.uid",
        ]
            + ["replicaset", "deployment", "daemonset", "statefulset", "job", "cronjob"].flatMap {
                ["k8s.\($0).name", "k8s.\($0).uid"]
            } + [
                "container.id", "container.image.tags", "container.image.repo_digests", "service.namespace",
                "service.name", "service.version", "service.instance.id",
            ])
    /// Names that the first Collectors had.
    private static let formerly = [
        "podName": "k8s.pod.name", "podUID": "k8s.pod.uid", "deployment": "k8s.deployment.name",
        "namespace": "k8s.namespace.name", "node": "k8s.node.name", "startTime": "k8s.pod.start_time",
    ]
    static let defaults = [
        "k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.pod.start_time", "k8s.deployment.name",
        "k8s.node.name", "container.image.name", "container.image.tag",
    ]

    package var metadata = Set(defaults)
    package var labels: [FieldRule] = []
    package var annotations: [FieldRule] = []
    /// Whether annotations `resource.opentelemetry.io/…` become attributes. Key `otel_annotations`.
    package var takesAnnotations = false

    package init() {}

    package init(_ section: ConfigSection) {
        if let names = section.optionalStringList("metadata") {
            metadata = Set(names)
            for name in names where !Self.known.contains(name) {
                guard name != "k8s.cluster.name" else {
                    section.report(
                        "metadata", warning: "\"\(name)\" has no effect: no cluster knows its own name",
                        help: "take it off, and set it with the resource processor")
                    continue
                }
                section.report(
                    "metadata", error: "\"\(name)\" is not a supported metadata field",
                    help: Self.formerly[name].map { "write \($0)" }
                        ?? "known: " + Self.known.sorted().joined(separator: ", "))
            }
        }
        labels = (section.sectionList("labels") ?? []).map(FieldRule.init)
        annotations = (section.sectionList("annotations") ?? []).map(FieldRule.init)
        takesAnnotations = section.bool("otel_annotations", default: false)
        if !section.bool("deployment_name_from_replicaset", default: true) {
            section.report(
                "deployment_name_from_replicaset",
                warning: "has no effect: the name is that in the ReplicaSet's",
                help: "k8s.deployment.uid is read from the ReplicaSet itself")
        }
    }

    func wants(_ name: String) -> Bool { metadata.contains(name) }

    /// Whether objects of a kind are needed for their labels or annotations.
    func needs(_ kind: Kind) -> Bool { (labels + annotations).contains { $0.kind == kind } }
}

extension ExtractionConfig.FieldRule {
    init(_ section: ConfigSection) {
        tagName = section.string("tag_name", default: "")
        key = section.string("key", default: "")
        kind = section.choice("from", default: .pod)
        let expression = section.optionalString("key_regex") ?? ""
        if !key.isEmpty, !expression.isEmpty {
            section.report(
                nil, error: "out of \"key\" or \"key_regex\" only one option is expected to be configured")
        }
        if key.isEmpty, expression.isEmpty { section.report(nil, error: "needs \"key\" or \"key_regex\"") }
        guard !expression.isEmpty else { return }
        do throws(MatchError) { pattern = try RegularExpression.goPattern("^(?:\(expression))$") } catch {
            section.report("key_regex", error: error.description)
        }
    }

    /// The attributes that texts become.
    /// - Parameter usual: stands before the key where no name is given.
    func attributes(_ texts: [(key: String, value: String)], usual: String) -> [(name: String, value: String)]
    {
        guard let pattern else {
            guard let text = texts.first(where: { $0.key == key }) else { return [] }
            return [(tagName.isEmpty ? usual + key : tagName, text.value)]
        }
        let template = RegularExpression.Template(tagName, for: pattern)
        return texts.compactMap { text in
            if tagName.isEmpty { return pattern.matches(text.key) ? (usual + text.key, text.value) : nil }
            return pattern.replace(text.key, with: template).map { ($0, text.value) }
        }
    }
}
