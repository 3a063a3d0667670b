/// The points of one metric of one scope of one target. Confined to its `ScrapeLoop`.
final class MetricStream {
    let name: String
    let kind: MetricKind
    /// Fields `name`, `description`, `unit` of `Metric`, encoded.
    let header: [UInt8]
    /// Field `metadata` of `Metric`, encoded.
    let metadata: [UInt8]
    private(set) var points: [MetricPoint] = []
    private var byAttributes: [[UInt8]: MetricPoint] = [:]

    init(name: String, kind: MetricKind, type: MetricType, help: String, unit: String) {
        self.name = name
        self.kind = kind
        var header = WireBuffer()
        header.text(1, name)
        header.text(2, help)
        header.text(3, unit)
        self.header = header.bytes
        var metadata = WireBuffer()
        metadata.attribute(12, "prometheus.type", type.word)
        self.metadata = metadata.bytes
    }

    /// The point with these attributes, made when it is new.
    func point(_ attributes: [UInt8], born scrape: UInt32) -> MetricPoint {
        if let known = byAttributes[attributes] { return known }
        let point = MetricPoint(attributes: attributes, born: scrape)
        points.append(point)
        byAttributes[attributes] = point
        return point
    }

    /// Takes points away.
    func removeAll(where isUnwanted: (MetricPoint) -> Bool) {
        var removed = false
        for point in points where isUnwanted(point) {
            byAttributes[point.attributes] = nil
            removed = true
        }
        if removed { points.removeAll { byAttributes[$0.attributes] == nil } }
    }
}

/// The metrics of one scope of a target.
final class ScopeGroup {
    let key: ScopeKey
    private(set) var streams: [MetricStream] = []
    private var byName: [String: [MetricStream]] = [:]

    init(_ key: ScopeKey) { self.key = key }

    /// The metric of this name and kind, made when it is new.
    func stream(_ name: String, _ kind: MetricKind, make: () -> MetricStream) -> MetricStream {
        if let known = byName[name]?.first(where: { $0.kind == kind }) { return known }
        let stream = make()
        streams.append(stream)
        byName[name, default: []].append(stream)
        return stream
    }

    /// Takes away metrics without points.
    func removeEmpty() {
        guard streams.contains(where: { $0.points.isEmpty }) else { return }
        streams.removeAll { $0.points.isEmpty }
        byName = Dictionary(grouping: streams) { $0.name }
    }
}

/// What makes a scope: `otel_scope_*` labels.
struct ScopeKey: Hashable {
    var name = ""
    var version = ""
    var schemaURL = ""
    /// Other `otel_scope_*` labels, without that beginning.
    var attributes: [Label] = []
}

/// What the series of one `job` and `instance` give: one OTLP resource.
final class ResourceGroup {
    let job: String
    let instance: String
    /// Labels of `target_info`; these win over what the target says about itself.
    var info: [Label] = []
    /// Number of the scrape that told `info`.
    var infoSeen: UInt32 = 0
    /// Attributes that `otel_scope_info` tells of scopes by name and version.
    var scopeInfo: [ScopeKey: [Label]] = [:]
    private(set) var scopes: [ScopeGroup] = []
    private var byKey: [ScopeKey: ScopeGroup] = [:]

    init(job: String, instance: String) {
        self.job = job
        self.instance = instance
    }

    /// The scope, made when it is new.
    func scope(_ key: ScopeKey) -> ScopeGroup {
        if let known = byKey[key] { return known }
        let scope = ScopeGroup(key)
        scopes.append(scope)
        byKey[key] = scope
        return scope
    }

    /// Takes away scopes without metrics.
    func removeEmpty() {
        guard scopes.contains(where: { $0.streams.isEmpty }) else { return }
        for scope in scopes where scope.streams.isEmpty { byKey[scope.key] = nil }
        scopes.removeAll { $0.streams.isEmpty }
    }
}
