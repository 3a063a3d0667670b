package import Configuration
package import Pipeline
internal import RegularExpression

/// The keys of `resource_detection`.
package struct ResourceDetectionConfig: ComponentConfig {
    /// Key `detectors`.
    package var detectors: [DetectorKind] = [.env]
    /// Whether detected attributes replace those that a resource has. Default true. Key `override`.
    package var overrides = true
    /// How long the start waits for a detector. Default 5 s. Key `timeout`.
    package var timeout = Duration.seconds(5)
    /// How often is detected again; 0 is never. Key `refresh_interval`.
    package var refreshInterval = Duration.zero
    /// Whether a cloud whose metadata cannot be read is an error. Default false. Key `fail_on_missing_metadata`.
    package var failsOnMissing = false
    /// Attributes that are on or off otherwise than usual, by detector.
    package var attributes: [DetectorKind: [String: Bool]] = [:]
    /// Where the system's host name comes from. Key `system::hostname_sources`.
    package var hostnameSources = ["dns", "os"]
    /// Key `k8s_api::node_from_env_var`.
    package var nodeVariable = "K8S_NODE_NAME"
    /// Key `openshift::address`.
    package var openshiftAddress = ""
    /// Key `openshift::token`.
    package var openshiftToken: Secret?
    /// Key `docker::endpoint`.
    package var dockerEndpoint = ""
    /// Regular expressions of the tags that become `azure.tag.…`. Key `azure::tags`.
    package var azureTags: [String] = []

    package init(_ section: ConfigSection) {
        if let names = section.optionalStringList("detectors") {
            detectors = []
            for name in names {
                guard let kind = DetectorKind(name: name) else {
                    Self.refuse(name, section)
                    continue
                }
                if !detectors.contains(kind) { detectors.append(kind) }
            }
        }
        overrides = section.bool("override", default: overrides)
        timeout = section.duration("timeout", default: timeout, in: .milliseconds(1) ... .seconds(300))
        refreshInterval = section.duration("refresh_interval", default: refreshInterval)
        failsOnMissing = section.bool("fail_on_missing_metadata", default: false)
        for name in DetectorKind.allCases.map(\.rawValue) + DetectorKind.otherNames.keys.sorted() {
            guard let kind = DetectorKind(name: name), let own = section.section(name) else { continue }
            readAttributes(kind, own)
            readSettings(kind, own)
        }
        section.finish()
    }

    private static func refuse(_ name: String, _ section: ConfigSection) {
        let isKnown = DetectorKind.notYet.contains(name)
        let known = DetectorKind.allCases.map(\.rawValue).joined(separator: ", ")
        let help =
            isKnown
            ? "take \(name) off the list; env takes what OTEL_RESOURCE_ATTRIBUTES says"
            : DetectorKind.instead[name].map { "write \($0)" } ?? "write some of \(known)"
        section.report(
            "detectors",
            error: "invalid detector key: \(name)" + (isKnown ? "; it is not supported yet" : ""),
            help: help)
    }

    private mutating func readAttributes(_ kind: DetectorKind, _ section: ConfigSection) {
        guard !kind.resourceAttributes.isEmpty, let list = section.section("resource_attributes") else {
            return
        }
        for (name, isOn) in kind.resourceAttributes {
            guard let attribute = list.section(name) else { continue }
            attributes[kind, default: [:]][name] = attribute.bool("enabled", default: isOn)
        }
        for name in kind.attributesNotBuilt {
            guard let attribute = list.section(name) else { continue }
            if attribute.bool("enabled", default: false) {
                list.report(
                    name, error: "is not supported yet: it needs signed requests, or the server of metadata",
                    help: "add ec2 to detectors, which has what the server of metadata says, and write "
                        + "k8s.cluster.name into OTEL_RESOURCE_ATTRIBUTES for env")
            }
        }
    }

    private mutating func readSettings(_ kind: DetectorKind, _ section: ConfigSection) {
        switch kind {
        case .system:
            if let sources = section.optionalStringList("hostname_sources") {
                hostnameSources = sources
                for source in sources where !["dns", "os", "cname", "lookup"].contains(source) {
                    section.report(
                        "hostname_sources", error: "invalid hostname source: \(source)",
                        help: "dns, os, cname or lookup")
                }
            }
        case .k8sNode:
            _ = section.choice(
                "auth_type", of: ["serviceAccount"], default: "serviceAccount",
                notYet: ["kubeConfig", "none"])
            nodeVariable = section.string("node_from_env_var", default: nodeVariable)
        case .ec2:
            section.notSupportedYet("tags", "they need signed requests")
            section.ignored("max_attempts", "each detector is tried until the timeout")
            section.ignored("max_backoff", "each detector is tried until the timeout")
            if section.bool("fail_on_missing_metadata", default: false) { failsOnMissing = true }
        case .openshift:
            openshiftAddress = section.string("address", default: "")
            openshiftToken = section.secret("token")
            section.notSupportedYet("tls", "the authority of the service account is used")
        case .docker: dockerEndpoint = section.string("endpoint", default: "")
        case .azure:
            azureTags = section.stringList("tags")
            for tag in azureTags {
                do throws(RegularExpressionError) { _ = try RegularExpression(tag) } catch {
                    section.report("tags", error: "\"\(tag)\" is no regular expression: \(error)")
                }
            }
        case .eks:
            section.ignored("node_from_env_var", "the API server's version says that it is EKS")
            section.ignored("max_attempts", "each detector is tried until the timeout")
            section.ignored("max_backoff", "each detector is tried until the timeout")
            if section.bool("fail_on_missing_metadata", default: false) { failsOnMissing = true }
        case .env, .ecs, .gcp, .lambda, .elasticBeanstalk, .heroku, .aks: break
        }
    }

    /// Whether an attribute of a detector is wanted.
    func wants(_ name: String, of kind: DetectorKind) -> Bool {
        if let own = attributes[kind]?[name] { return own }
        return kind.resourceAttributes.first { $0.name == name }?.isOn ?? true
    }
}

extension ComponentType {
    /// `resource_detection`.
    package static let resourceDetection = processor(
        "resource_detection",
        aliases: [.init("resourcedetection", deprecation: "write resource_detection instead")],
        ResourceDetectionConfig.self
    ) { config, context, next in
        let resource = try context.shared {
            DetectedResource(
                config, Probe(eventLoop: context.eventLoop, logger: context.logger), logger: context.logger)
        }
        return EditingProcessor(DetectionTransform(config, resource), context, next: next)
    }
}
