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
    /// The field `attributes` of `InstrumentationScope`, encoded, repeated for each.
    var attributes: [UInt8] = []
}

/// What the series of one `job` and `instance` give: one OTLP resource.
final class ResourceGroup {
    let job: String
    let instance: String
    /// Labels of `target_info`, encoded as the field `attributes` of `Resource`.
    var info: [UInt8] = []
    /// Number of the scrape that told `info`.
    var infoSeen: UInt32 = 0
    /// Attributes that `otel_scope_info` tells of scopes by name and version, encoded as the field of
    /// `InstrumentationScope`.
    var scopeInfo: [ScopeKey: [UInt8]] = [:]
    var scopes: [ScopeGroup] = []

    init(job: String, instance: String) {
        self.job = job
        self.instance = instance
    }

    /// The scope, made when it is new.
    func scope(_ key: ScopeKey) -> ScopeGroup {
        if let known = scopes.first(where: { $0.key == key }) { return known }
        let scope = ScopeGroup(key)
        scopes.append(scope)
        return scope
    }
}
