internal import ItemMatching
internal import Kubernetes
internal import OTLP
internal import RegularExpression

/// Makes records of objects, once for each change. Any thread.
struct Extractor: Sendable {
    private let config: ExtractionConfig
    private let associations: [[KubernetesAttributesConfig.Source]]
    private let excluded: [RegularExpression]

    /// - Throws: a pattern is none.
    init(_ config: KubernetesAttributesConfig) throws {
        self.config = config.extraction
        associations = config.associations
        excluded = try config.excludedPods.map { try RegularExpression.goPattern($0) }
    }

    /// Whether a pod is left alone.
    func ignores(_ pod: PodObject) -> Bool {
        pod.metadata.annotation("opentelemetry.io/k8s-processor/ignore") == "true"
            || excluded.contains { $0.occurs(in: pod.metadata.name) }
    }

    // MARK: - Pods

    func record(_ pod: PodObject) -> PodRecord {
        let texts = attributes(of: pod)
        let containers = pod.containers.map { record($0, of: pod) }
        return PodRecord(
            uid: pod.metadata.uid.alone, namespace: pod.metadata.namespace.alone, node: pod.node.alone,
            startTime: pod.startTime.alone,
            identifiers: identifiers(of: pod, texts),
            attributes: ClusterAttributes(texts), containers: containers,
            owners: pod.metadata.owners.map(\.uid.alone))
    }

    private typealias Texts = [(name: String, value: String)]

    private func attributes(of pod: PodObject) -> Texts {
        let metadata = pod.metadata
        var texts: Texts = []
        func add(_ name: String, _ value: String?) {
            guard let value, !value.isEmpty, config.wants(name) else { return }
            texts.append((name, value))
        }
        add("k8s.namespace.name", metadata.namespace)
        add("k8s.pod.name", metadata.name)
        add("k8s.pod.uid", metadata.uid)
        add("k8s.pod.hostname", pod.hostName)
        add("k8s.pod.ip", pod.address)
        add("k8s.pod.start_time", metadata.created)
        add("k8s.node.name", pod.node)
        for (kind, name) in [
            ("ReplicaSet", "replicaset"), ("DaemonSet", "daemonset"), ("StatefulSet", "statefulset"),
            ("Job", "job"),
        ] {
            add("k8s.\(name).name", metadata.owner(kind)?.name)
            add("k8s.\(name).uid", metadata.owner(kind)?.uid)
        }
        let deployment = Self.deployment(of: metadata)
        let cronJob = metadata.owner("Job").flatMap { Self.cronJob($0.name) }
        add("k8s.deployment.name", deployment)
        add("k8s.cronjob.name", cronJob)
        let controllers = ["ReplicaSet", "StatefulSet", "DaemonSet", "Job"]
        let services: [String?] = [
            metadata.label("app.kubernetes.io/instance"), metadata.label("app.kubernetes.io/name"),
            deployment,
            cronJob, metadata.owners.first { controllers.contains($0.kind) }?.name, metadata.name,
        ]
        let service = services.compactMap { $0 }.first
        if !config.takesAnnotations || metadata.annotation("resource.opentelemetry.io/service.name") == nil {
            add("service.name", service)
        }
        add("service.namespace", metadata.namespace)
        add("service.version", metadata.label("app.kubernetes.io/version"))
        texts += self.texts(metadata, .pod)
        if config.takesAnnotations {
            let prefix = "resource.opentelemetry.io/"
            for annotation in metadata.annotations where annotation.key.hasPrefix(prefix) {
                texts.append((String(annotation.key.dropFirst(prefix.count)), annotation.value))
            }
        }
        return texts
    }

    /// What the rules make of the labels and annotations of an object.
    private func texts(_ metadata: ObjectMetadata, _ kind: ExtractionConfig.Kind) -> Texts {
        config.labels.filter { $0.kind == kind }.flatMap {
            $0.attributes(metadata.labels, usual: "k8s.\(kind.rawValue).labels.")
        }
            + config.annotations.filter { $0.kind == kind }.flatMap {
                $0.attributes(metadata.annotations, usual: "k8s.\(kind.rawValue).annotations.")
            }
    }

    /// The name of the ReplicaSet without the hash that it got from its template.
    static func deployment(of metadata: ObjectMetadata) -> String? {
        guard let owner = metadata.owner("ReplicaSet"), let hash = metadata.label("pod-template-hash"),
            owner.name.hasSuffix("-" + hash)
        else { return nil }
        return String(owner.name.dropLast(hash.count + 1))
    }

    /// The name of a job that a CronJob made: its own with the minute of the schedule behind it.
    static func cronJob(_ job: String) -> String? {
        let digits = job.reversed().prefix { $0.isASCII && $0.isNumber }.count
        guard digits == 8, job.dropLast(8).last == "-", job.count > 9 else { return nil }
        return String(job.dropLast(9))
    }

    // MARK: - Containers

    private func record(_ container: PodObject.Container, of pod: PodObject) -> PodRecord.Container {
        var attributes = ClusterAttributes.Draft()
        func add(_ name: String, _ value: String?) {
            guard let value, !value.isEmpty, config.wants(name) else { return }
            attributes.append(name, value)
        }
        let image = ImageReference(container.image)
        add("k8s.container.name", container.name)
        add("container.image.name", image.name)
        add("container.image.tag", image.tag)
        if config.wants("container.image.tags"), let tag = image.tag {
            attributes.append("container.image.tags", listOf: tag)
        }
        if config.wants("container.image.repo_digests"),
            let digest = ImageReference.repositoryDigest(container.imageID)
        {
            attributes.append("container.image.repo_digests", listOf: digest)
        }
        if pod.metadata.label("app.kubernetes.io/version") == nil { add("service.version", image.version) }
        add("service.instance.id", "\(pod.metadata.namespace).\(pod.metadata.name).\(container.name)")
        return PodRecord.Container(
            name: container.name.alone, attributes: attributes.attributes,
            instances: container.instances.map { .init(restarts: $0.restarts, id: $0.id.alone) })
    }

    // MARK: - Identifiers

    private func identifiers(of pod: PodObject, _ texts: Texts) -> [String] {
        var found: [String] = []
        for rule in associations {
            var partial = [""]
            for source in rule {
                let values = values(of: source, pod, texts)
                partial = partial.flatMap { before in values.map { before + Identifier.part(source, $0) } }
            }
            found += partial
        }
        if !pod.metadata.uid.isEmpty {
            found.append(Identifier.part(.resourceAttribute("k8s.pod.uid"), pod.metadata.uid))
        }
        if !pod.address.isEmpty, !pod.isOnHostNetwork {
            found.append(Identifier.part(.connection, pod.address))
            found.append(Identifier.part(.resourceAttribute("k8s.pod.ip"), pod.address))
        }
        return found.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func values(
        of source: KubernetesAttributesConfig.Source, _ pod: PodObject, _ texts: Texts
    ) -> [String] {
        let value: String
        switch source {
        case .connection: value = pod.isOnHostNetwork ? "" : pod.address
        case .resourceAttribute(let name):
            switch name {
            case "k8s.namespace.name": value = pod.metadata.namespace
            case "k8s.pod.name": value = pod.metadata.name
            case "k8s.pod.uid": value = pod.metadata.uid
            case "k8s.pod.ip", "host.name": value = pod.isOnHostNetwork ? "" : pod.address
            case "container.id": return pod.containers.flatMap { $0.instances.map(\.id) }
            default: value = texts.first { $0.name == name }?.value ?? ""
            }
        }
        return value.isEmpty ? [] : [value]
    }

    // MARK: - Other objects

    /// - Parameter uidName: the attribute that holds the uid, if it is wanted.
    func record(_ object: ClusterObject, _ kind: ExtractionConfig.Kind?, uidName: String? = nil)
        -> ObjectRecord
    {
        var attributes = kind.map { texts(object.metadata, $0) } ?? []
        if let uidName, config.wants(uidName) { attributes.append((uidName, object.metadata.uid)) }
        let owner = object.metadata.owner("Deployment") ?? object.metadata.owner("CronJob")
        return ObjectRecord(
            uid: object.metadata.uid.alone, attributes: ClusterAttributes(attributes),
            ownerUID: owner?.uid.alone)
    }
}

extension String {
    /// The same with memory of its own: that of a text which was read stands among that of all the others which were read with it,
    /// and would keep their pages.
    fileprivate var alone: String { String(decoding: Array(utf8), as: UTF8.self) }
}

/// How a pod is looked up.
enum Identifier {
    static func part(_ source: KubernetesAttributesConfig.Source, _ value: String) -> String {
        switch source {
        case .connection: "\u{1F}connection=\(value)"
        case .resourceAttribute(let name): "\u{1F}\(name)=\(value)"
        }
    }
}

/// The parts of `registry/name:tag@digest`.
struct ImageReference {
    private(set) var name: String
    private(set) var tag: String?
    private(set) var digest: String?

    init(_ text: String) {
        var rest = text[...]
        if let at = rest.firstIndex(of: "@") {
            digest = String(rest[rest.index(after: at)...])
            rest = rest[..<at]
        }
        let lastSlash = rest.lastIndex(of: "/") ?? rest.startIndex
        if let colon = rest[lastSlash...].lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        } else if digest == nil, !rest.isEmpty {
            tag = "latest"
        }
        name = String(rest)
    }

    /// `tag`, `tag@digest` or `digest`.
    var version: String? {
        switch (tag, digest) {
        case (let tag?, let digest?): "\(tag)@\(digest)"
        case (let tag?, nil): tag
        case (nil, let digest?): digest
        case (nil, nil): nil
        }
    }

    /// `name@digest` of an image id, without what stands before `://`.
    static func repositoryDigest(_ id: String) -> String? {
        let bare = id.split(separator: "/", omittingEmptySubsequences: false)
        let text = bare.first?.hasSuffix(":") == true ? bare.dropFirst(2).joined(separator: "/") : id
        return text.contains("@") ? text : nil
    }
}
