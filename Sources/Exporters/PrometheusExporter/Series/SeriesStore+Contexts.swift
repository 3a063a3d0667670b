internal import OTLP

// What all series of a resource and scope have in common.

extension SeriesStore {
    /// The labels that the series of a scope have in common.
    func makeContext(_ scope: Scope) -> Context {
        var resource: [(key: [UInt8], value: [UInt8])] = []
        for field in scope.resource.fields where field.number == Field.ResourceEntry.resource {
            resource += LabelMaker.attributes(field.bytes, Field.Resource.attributes)
        }
        resource = resource.sortedByKey()
        let identity = identity(resource)
        var found = settings.withoutScopeInfo ? [] : scopeLabels(scope.scope)
        var convertedKeys: Set<[UInt8]> = []
        for (key, value) in resource
        where settings.resourceLabels.includes(String(decoding: key, as: UTF8.self)) {
            // The resource's own `job` is not who sends: it gives way. A `le` would stand beside the buckets' own.
            guard let label = labels.label(key, value, isDistribution: true),
                !identity.contains(where: { $0.name == label.name })
            else { continue }
            found.append(label)
            convertedKeys.insert(key)
        }
        let all = LabelMaker.joined(found + identity + settings.constLabels)
        let (text, hasQuotedNames) = LabelMaker.text(all)
        return Context(
            id: scope.id, key: scope.key, labels: all, text: text, hasQuotedNames: hasQuotedNames,
            convertedKeys: convertedKeys, sourceHash: sourceHash(scope.scope),
            process: process(resource, identity), target: target(resource, identity))
    }

    /// `job` and `instance`, as far as the resource says them.
    private func identity(_ resource: [(key: [UInt8], value: [UInt8])]) -> [Label] {
        func attribute(_ key: String) -> [UInt8] {
            resource.first { $0.key.elementsEqual(key.utf8) }?.value ?? []
        }
        let service = attribute("service.name")
        let instance = attribute("service.instance.id")
        var identity: [Label] = []
        if !service.isEmpty {
            var job = attribute("service.namespace")
            if !job.isEmpty { job.append(UInt8(ascii: "/")) }
            identity.append(Label(name: "job", value: job + service))
        }
        if !instance.isEmpty { identity.append(Label(name: "instance", value: instance)) }
        return identity
    }

    /// Attributes that are others when an instance has begun anew.
    private static let processKeys = [
        "container.id", "k8s.container.restart_count", "k8s.pod.uid", "process.creation.time", "process.pid",
    ]

    /// Who the instance is at the moment; 0 when the resource does not say. Without an instance several processes may
    /// report under one name in turn, which is no restart.
    private func process(_ resource: [(key: [UInt8], value: [UInt8])], _ identity: [Label]) -> UInt32 {
        guard identity.contains(where: { $0.name == "instance" }) else { return 0 }
        var process: WireHash?
        for (key, value) in resource where Self.processKeys.contains(String(decoding: key, as: UTF8.self)) {
            process = hash(value, from: hash(key, from: process ?? WireHash(low: 7, high: 0)))
        }
        return process.map { max(UInt32(truncatingIfNeeded: $0.low), 1) } ?? 0
    }

    /// `target_info`, which joins with series by `job` and `instance`: without these there is none.
    private func target(_ resource: [(key: [UInt8], value: [UInt8])], _ identity: [Label]) -> TargetInfo? {
        guard identity.count == 2 else { return nil }
        let identifying = ["service.name", "service.namespace", "service.instance.id"]
        let rest = resource.filter { entry in !identifying.contains { entry.key.elementsEqual($0.utf8) } }
        let info = rest.compactMap { labels.label($0.key, $0.value) }
            .filter { label in !identity.contains { $0.name == label.name } }
        var hash = WireHash(low: 3, high: 0)
        for label in identity { hash = self.hash(label, from: hash) }
        return TargetInfo(key: SeriesKey(hash), labels: LabelMaker.joined(info + identity))
    }

    /// `otel_scope_…`, without those that have no value.
    private func scopeLabels(_ scope: WireBytes) -> [Label] {
        var found: [Label] = []
        func add(_ name: String, _ value: [UInt8]) {
            if !value.isEmpty { found.append(Label(name: name, value: value)) }
        }
        for field in scope.fields where field.number == Field.ScopeEntry.scope {
            for part in field.bytes.fields {
                if part.number == Field.Scope.name { add("otel_scope_name", part.bytes.array) }
                if part.number == Field.Scope.version { add("otel_scope_version", part.bytes.array) }
            }
            for (key, value) in LabelMaker.attributes(field.bytes, Field.Scope.attributes) {
                if let label = labels.label(Array("otel_scope_".utf8) + key, value) { found.append(label) }
            }
        }
        for field in scope.fields where field.number == Field.ScopeEntry.schemaURL {
            add("otel_scope_schema_url", field.bytes.array)
        }
        return found
    }

    /// What tells sources of one series apart: when the scope is not among the labels, its name.
    private func sourceHash(_ scope: WireBytes) -> WireHash {
        var hash = WireHash(low: 4, high: 0)
        guard settings.withoutScopeInfo else { return hash }
        for field in scope.fields where field.number == Field.ScopeEntry.scope {
            for part in field.bytes.fields where part.number == Field.Scope.name {
                hash = hasher.hash(part.bytes, from: hash)
            }
        }
        return hash
    }
}
