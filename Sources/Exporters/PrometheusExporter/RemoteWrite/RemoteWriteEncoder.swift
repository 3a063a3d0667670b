internal import Compression
internal import Configuration
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What a batch became.
struct EncodedBatch: Sendable {
    var requests: [WriteRequest] = []
    /// Data points that remote write cannot carry, and why the last one.
    var untranslated = 0
    var reason = ""
}

/// Makes write requests (remote write 1.0) of metrics. A value, any thread.
struct RemoteWriteEncoder: Sendable {
    let settings: RemoteWriteSettings
    let namer: MetricNamer
    private let labels: LabelMaker
    private let external: [Label]
    private let requestBytesMax: Int

    init(_ settings: RemoteWriteSettings, requestBytesMax: Int) {
        self.settings = settings
        self.requestBytesMax = requestBytesMax
        let namer = MetricNamer(strategy: settings.strategy, namespace: settings.namespace)
        self.namer = namer
        labels = LabelMaker(namer: namer, constLabels: [])
        external = settings.externalLabels.compactMap { pair in
            namer.labelName(pair.name).map { Label(name: $0, value: Array(pair.value.utf8)) }
        }
    }

    /// Takes milliseconds.
    func encode(_ batch: Batch) -> EncodedBatch {
        var work = Work()
        for slice in batch.slices {
            let bytes = slice.bytes
            unsafe bytes.withUnsafeReadableBytes { buffer in
                // SAFETY: `bytes` lives for the call.
                for field in unsafe WireBytes(buffer).fields where field.number == Field.Request.resources {
                    add(resource: field.bytes, to: &work)
                }
            }
        }
        var encoded = EncodedBatch()
        encoded.untranslated = work.untranslated
        encoded.reason = work.reason
        encoded.requests = requests(work)
        return encoded
    }

    /// What one batch has so far.
    struct Work {
        var series = SeriesDraft()
        /// `metadata` fields by family.
        var metadata: [String: [UInt8]] = [:]
        var untranslated = 0
        var reason = ""

        mutating func leaveOut(_ items: Int, _ reason: String) {
            guard items > 0 else { return }
            untranslated += items
            self.reason = reason
        }
    }

    // MARK: - Resources

    private func add(resource entry: WireBytes, to work: inout Work) {
        var resource = WireBytes.none
        for field in entry.fields where field.number == Field.ResourceEntry.resource {
            resource = field.bytes
        }
        let attributes = LabelMaker.attributes(resource, Field.Resource.attributes)
        var source = SeriesSource(attributes, settings.resourceLabels)
        for field in entry.fields where field.number == Field.ResourceEntry.scopes {
            source.scopeLabels = scopeLabels(field.bytes)
            for metric in field.bytes.fields where metric.number == Field.ScopeEntry.entries {
                add(metric: MetricHead(metric.bytes), &source, to: &work)
            }
        }
        addTargetInfo(source, attributes, to: &work)
    }

    private func scopeLabels(_ scopeEntry: WireBytes) -> [Label] {
        guard !settings.withoutScopeInfo else { return [] }
        var found: [Label] = []
        for field in scopeEntry.fields {
            if field.number == Field.ScopeEntry.schemaURL, field.bytes.count > 0 {
                found.append(Label(name: "otel_scope_schema_url", value: field.bytes.array))
            }
            guard field.number == Field.ScopeEntry.scope else { continue }
            for inner in field.bytes.fields where inner.bytes.count > 0 {
                if inner.number == Field.Scope.name {
                    found.append(Label(name: "otel_scope_name", value: inner.bytes.array))
                } else if inner.number == Field.Scope.version {
                    found.append(Label(name: "otel_scope_version", value: inner.bytes.array))
                }
            }
            for (key, value) in LabelMaker.attributes(field.bytes, Field.Scope.attributes) {
                if let label = labels.label(Array("otel_scope_".utf8) + key, value) { found.append(label) }
            }
        }
        return found
    }

    /// `target_info`: the attributes of a resource that are not its identity, if it has both.
    private func addTargetInfo(
        _ source: SeriesSource, _ attributes: [(key: [UInt8], value: [UInt8])], to work: inout Work
    ) {
        guard settings.hasTargetInfo, source.newestTime > 0, !source.identity.isEmpty else { return }
        let others = attributes.filter { !SeriesSource.isIdentity($0.key) }
        guard !others.isEmpty else { return }
        var target = source
        target.scopeLabels = []
        target.resourceAttributes = []
        let prefix = settings.namespace.isEmpty ? "" : settings.namespace + "_"
        let index = work.series.series(
            labelsOf(
                target, others, more: [Label(name: "__name__", value: Array((prefix + "target_info").utf8))]))
        work.series.addSample(1, time: source.newestTime, to: index)
    }

    /// The labels of a series: of the point, its scope, its resource, then what is external, sorted by name.
    func labelsOf(
        _ source: SeriesSource, _ attributes: [(key: [UInt8], value: [UInt8])], more: [Label]
    ) -> [Label] {
        var own = attributes
        if !source.resourceAttributes.isEmpty {
            // An attribute of the resource wins over one of the point.
            let keys = Set(source.resourceAttributes.map(\.key))
            own = own.filter { !keys.contains($0.key) } + source.resourceAttributes
            own.sort { $0.key.lexicographicallyPrecedes($1.key) }
        }
        let joined = LabelMaker.joined(own.compactMap { labels.label($0.key, $0.value) })
        var byName: [String: [UInt8]] = [:]
        for label in joined + source.scopeLabels + source.identity + more where !label.value.isEmpty {
            byName[label.name] = label.value
        }
        for label in external where byName[label.name] == nil { byName[label.name] = label.value }
        return byName.map { Label(name: $0.key, value: $0.value) }.sorted { $0.name.utf8Precedes($1.name) }
    }

    // MARK: - Requests

    private func requests(_ work: Work) -> [WriteRequest] {
        var requests: [WriteRequest] = []
        var draft = ProtobufDraft()
        var items = 0
        var count = 0
        func finish() {
            requests.append(WriteRequest(body: Self.compress(draft.bytes), items: items, series: count))
            draft = ProtobufDraft()
            items = 0
            count = 0
        }
        for series in work.series.series {
            let bytes = series.labels + series.samples + series.exemplars + series.histograms
            if count > 0, draft.bytes.count + bytes.count > requestBytesMax { finish() }
            draft.field(1, bytes)
            items += series.items
            count += 1
        }
        for name in work.metadata.keys.sorted() { draft.field(3, work.metadata[name] ?? []) }
        if !draft.bytes.isEmpty { finish() }
        return requests
    }

    private static func compress(_ bytes: [UInt8]) -> ByteBuffer {
        var body = ByteBuffer()
        unsafe bytes.withUnsafeBytes { buffer in
            // SAFETY: the bytes live for the call.
            _ = unsafe Snappy.compress(RawSpan(_unsafeBytes: buffer)) { room, fill in
                body.writeWithOutputRawSpan(minimumWritableBytes: room, initializingWith: fill)
            }
        }
        return body
    }
}

/// Where series come from: what all of a resource, and of its present scope, have in common.
struct SeriesSource {
    /// `job` and `instance`.
    let identity: [Label]
    /// Attributes of the resource that are labels of every series.
    var resourceAttributes: [(key: [UInt8], value: [UInt8])]
    var scopeLabels: [Label] = []
    /// Of all points of the resource. Milliseconds since 1970.
    var newestTime: Int64 = 0

    init(_ attributes: [(key: [UInt8], value: [UInt8])], _ resourceLabels: ResourceLabels) {
        func value(_ key: String) -> [UInt8] {
            attributes.first { $0.key.elementsEqual(key.utf8) }?.value ?? []
        }
        let name = value("service.name")
        let namespace = value("service.namespace")
        let instance = value("service.instance.id")
        var identity: [Label] = []
        if !name.isEmpty {
            let job = namespace.isEmpty ? name : namespace + [UInt8(ascii: "/")] + name
            identity.append(Label(name: "job", value: job))
        }
        if !instance.isEmpty { identity.append(Label(name: "instance", value: instance)) }
        self.identity = identity
        resourceAttributes = attributes.filter {
            resourceLabels.includes(String(decoding: $0.key, as: UTF8.self))
        }
    }

    static func isIdentity(_ key: [UInt8]) -> Bool {
        ["service.name", "service.namespace", "service.instance.id"].contains { key.elementsEqual($0.utf8) }
    }
}
