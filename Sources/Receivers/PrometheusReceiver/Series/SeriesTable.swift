/// The series of one target: from pages to data points, remembered from scrape to scrape.
///
/// A series that was there before costs a look-up of its bytes and a store; only a new one is parsed, relabelled and
/// placed. One scrape is `begin`, a parser's calls, `end`; then `MetricEncoder` writes what it gave. Confined to its `ScrapeLoop`.
final class SeriesTable: PageSink {
    /// A series of the page.
    private struct Entry {
        var point: MetricPoint?
        var role: SeriesRole
        /// Of buckets and quantiles.
        var bound = 0.0
        var family: Int32
        var generation: UInt32
        var seen: UInt32 = 0
        /// The point's field for exemplars, if it has one.
        var exemplars: UInt32?
        /// For what belongs to no point.
        var resource: ResourceGroup?
    }

    /// What a page was found to hold.
    struct Counts: Equatable {
        /// Samples on the page.
        var scraped = 0
        /// Those that relabelling left.
        var kept = 0
        /// Series that were not on the page before.
        var added = 0
        /// Samples of a series that the page had already.
        var duplicates = 0
        /// Samples that OTLP has no form for, or that lack what makes a point.
        var unsupported = 0
    }

    let rules: SeriesRules
    private(set) var resources: [ResourceGroup] = []
    /// By job and instance.
    private var resourcesByName: [[String]: ResourceGroup] = [:]
    private(set) var counts = Counts()
    /// Number of the scrape under way or done last.
    private(set) var scrape: UInt32 = 0
    private var index = ByteIndex()
    private var entries: [Entry] = []
    private var families = FamilyTable()
    private var reports: [MetricPoint] = []
    /// Series when the scrape began.
    private var countBefore = 0

    init(_ rules: SeriesRules) {
        self.rules = rules
        reports = ScrapeReport.metrics.map { report in
            var set = rules.targetLabels
            set[Label.metricName] = report.name
            let (resource, scope, attributes) = place(set, .gauge)
            let stream = resource.scope(scope).stream(report.name, .gauge) {
                MetricStream(
                    name: report.name, kind: .gauge, type: .gauge, help: report.help, unit: report.unit)
            }
            return stream.point(attributes, born: scrape)
        }
    }

    /// How many series are remembered.
    var seriesCount: Int { entries.count }

    // MARK: - A scrape

    /// Begins a scrape.
    func begin() {
        scrape += 1
        counts = Counts()
        countBefore = entries.count
    }

    /// Ends a scrape: settles which points have values. All of a scrape that failed count as missing.
    /// - Parameters:
    ///   - report: values of the target's own series, in the order of `ScrapeReport.metrics`; nil when the target goes.
    ///   - time: of the scrape, in nanoseconds since 1970.
    func end(succeeded: Bool, report: [Double]?, at time: Int64) {
        forget(failed: !succeeded)
        // What a failed scrape had counts for nothing: it is over before anything is taken from it.
        if !succeeded { scrape += 1 }
        if let report { record(report) }
        for resource in resources {
            if succeeded, resource.infoSeen != scrape { resource.info = [] }
            for scope in resource.scopes {
                for stream in scope.streams {
                    for point in stream.points
                    where point.seen == scrape && !point.take(stream.kind, at: time) {
                        counts.unsupported += 1
                    }
                }
            }
        }
    }

    private func record(_ report: [Double]) {
        for (point, value) in zip(reports, report) {
            point.begin(scrape)
            point.timestamp = nil
            point.value = value
            point.hasSum = true
        }
    }

    /// Forgets the points that are gone, once the pipelines know; a failed scrape says nothing about what is gone.
    func settle(succeeded: Bool) {
        for resource in resources {
            for scope in resource.scopes {
                for stream in scope.streams {
                    for point in stream.points where !hasValue(point) { point.isLive = false }
                    if succeeded { stream.removeAll { $0.seen != scrape } }
                }
                scope.removeEmpty()
            }
            resource.removeEmpty()
        }
        guard resources.contains(where: { $0.scopes.isEmpty }) else { return }
        resources.removeAll { $0.scopes.isEmpty }
        resourcesByName = Dictionary(uniqueKeysWithValues: resources.map { ([$0.job, $0.instance], $0) })
    }

    /// Whether the scrape that ended last gave the point a value.
    func hasValue(_ point: MetricPoint) -> Bool { point.seen == scrape && point.hasValue }

    /// Whether the point had a value, has none any more, and the pipelines are to hear of it.
    func isStale(_ point: MetricPoint) -> Bool {
        point.isLive && !hasValue(point) && (point.timestamp == nil || rules.tracksTimestampsStaleness)
    }

    /// Forgets series: those that are not on the page any more, or those that a failed scrape brought.
    private func forget(failed: Bool) {
        let entries = entries
        func isWanted(_ number: Int) -> Bool {
            guard failed else { return entries[number].seen == scrape }
            return number < countBefore && entries[number].point?.born != scrape
        }
        if !entries.indices.allSatisfy(isWanted) {
            index.keep(isWanted)
            self.entries = entries.indices.filter(isWanted).map { entries[$0] }
            if failed {
                for stream in resources.flatMap({ $0.scopes }).flatMap({ $0.streams }) {
                    stream.removeAll { $0.born == scrape }
                }
            }
        }
        if families.families.count > 1000 + 2 * self.entries.count {
            // Names that come and go: all are learnt anew from the next page.
            families = FamilyTable()
            index = ByteIndex()
            self.entries = []
        }
    }

    // MARK: - PageSink

    func declare(_ family: Span<UInt8>, type: MetricType) { families.declare(family, type: type) }
    func declare(_ family: Span<UInt8>, help: String) { families.declare(family, help: help) }
    func declare(_ family: Span<UInt8>, unit: String) { families.declare(family, unit: unit) }

    func series(_ key: Span<UInt8>) -> Int32? {
        guard let number = index.find(key) else { return nil }
        let entry = entries[Int(number)]
        return families.families[Int(entry.family)].generation == entry.generation ? number : nil
    }

    func add(_ key: Span<UInt8>, labels: [Label], declaredAs type: MetricType?) throws(PageError) -> Int32 {
        let entry = try entry(labels, type)
        let number = index.insert(key)
        if Int(number) == entries.count {
            entries.append(entry)
            if entry.role != .relabelled { counts.added += 1 }
        } else {
            entries[Int(number)] = entry
        }
        return number
    }

    func record(_ series: Int32, _ value: Double, timestamp: Int64?) throws(PageError) {
        guard let point = try see(series) else { return }
        guard value.bitPattern != Self.staleMarker else {
            // As if it were not on the page.
            entries[Int(series)].seen = scrape &- 1
            return
        }
        point.begin(scrape)
        if rules.honorsTimestamps, let timestamp, timestamp > 0 { point.timestamp = timestamp }
        switch entries[Int(series)].role {
        case .value:
            guard !point.hasSum else {
                counts.duplicates += 1
                return
            }
            point.value = value
            point.hasSum = true
        case .sum:
            point.value = value
            point.hasSum = true
        case .count: point.count = value
        case .bucket, .quantile: point.set(entries[Int(series)].bound, value)
        case .created: point.created = PageNumber.nanoseconds(seconds: value).flatMap { $0 > 0 ? $0 : nil }
        case .native, .targetInfo, .scopeInfo, .relabelled, .unsupported: break
        }
    }

    func record(_ series: Int32, _ histogram: NativeHistogram, timestamp: Int64?) throws(PageError) {
        guard let point = try see(series) else { return }
        point.begin(scrape)
        if rules.honorsTimestamps, let timestamp, timestamp > 0 { point.timestamp = timestamp }
        point.native = histogram
    }

    func record(_ series: Int32, _ exemplar: PageExemplar) {
        let entry = entries[Int(series)]
        guard let point = entry.point, point.seen == scrape else { return }
        guard let field = entry.exemplars else { return }
        exemplar.encode(field, into: &point.exemplars)
    }

    func record(_ series: Int32, created: Int64) {
        guard let point = entries[Int(series)].point, point.seen == scrape, created > 0 else { return }
        point.created = created
    }

    /// Bits of the number that Prometheus writes for "no value from here on".
    private static let staleMarker: UInt64 = 0x7ff0_0000_0000_0002

    /// Counts a sample.
    /// - Returns: its point; nil when it makes none.
    private func see(_ series: Int32) throws(PageError) -> MetricPoint? {
        counts.scraped += 1
        guard entries[Int(series)].seen != scrape else {
            counts.duplicates += 1
            return nil
        }
        entries[Int(series)].seen = scrape
        let role = entries[Int(series)].role
        guard role != .relabelled else { return nil }
        counts.kept += 1
        if rules.sampleLimit > 0, counts.kept > rules.sampleLimit {
            throw .limit(key: "sample_limit", limit: rules.sampleLimit, found: "a page with more samples")
        }
        if role == .unsupported { counts.unsupported += 1 }
        if role == .targetInfo { entries[Int(series)].resource?.infoSeen = scrape }
        return entries[Int(series)].point
    }

    // MARK: - New series

    private func entry(_ page: [Label], _ declared: MetricType?) throws(PageError) -> Entry {
        let pageName = page.first { $0.name == Label.metricName }?.value ?? ""
        let place = families.place(
            pageName, hasQuantile: page.contains { $0.name == "quantile" }, declaredAs: declared)
        let generation = families.families[Int(place.family)].generation
        func entry(_ role: SeriesRole, _ point: MetricPoint? = nil) -> Entry {
            Entry(point: point, role: role, family: place.family, generation: generation)
        }
        guard var set = try rules.labels(of: page) else { return entry(.relabelled) }
        if place.role == .unsupported { return entry(.unsupported) }
        let name = set[Label.metricName]
        if name == "target_info" || name == "otel_scope_info" { return info(set, entry(.targetInfo)) }
        var metric = MetricName(name, place)
        if rules.trimsSuffixes {
            metric.trim(unit: families.families[Int(place.family)].unit)
        }
        var result = entry(metric.role)
        if metric.role == .bucket || metric.role == .quantile {
            let label = metric.role == .bucket ? "le" : "quantile"
            guard let bound = PageNumber.double(Array(set[label].utf8).span), !bound.isNaN else {
                return entry(.unsupported)
            }
            set[label] = ""
            result.bound = bound
        }
        let kind = MetricKind(metric.type, isNative: metric.role == .native)
        let (resource, scopeKey, attributes) = self.place(set, kind)
        let family = families.families[Int(place.family)]
        let stream = resource.scope(scopeKey).stream(metric.name, kind) {
            MetricStream(
                name: metric.name, kind: kind, type: metric.type, help: family.help,
                unit: otlpUnit(family.unit))
        }
        result.exemplars = kind.exemplarsField
        result.point = stream.point(attributes, born: scrape)
        return result
    }

    /// `target_info` and `otel_scope_info`: attributes instead of a metric.
    private func info(_ set: LabelSet, _ template: Entry) -> Entry {
        var entry = template
        let resource = resource(set)
        entry.resource = resource
        if set[Label.metricName] == "otel_scope_info" {
            entry.role = .scopeInfo
            var key = ScopeKey()
            key.name = set["otel_scope_name"]
            key.version = set["otel_scope_version"]
            resource.scopeInfo[key] = set.labels.filter {
                !Self.isStructural($0.name) && !$0.name.hasPrefix("otel_scope_")
            }
        } else {
            resource.info = set.labels.filter { !Self.isStructural($0.name) }
        }
        return entry
    }

    private static let scopePrefix = "otel_scope_"

    private static func isStructural(_ name: String) -> Bool {
        name == Label.metricName || name == "job" || name == "instance"
    }

    private func resource(_ set: LabelSet) -> ResourceGroup {
        let job = set["job"]
        let instance = set["instance"]
        let key = [job, instance]
        if let known = resourcesByName[key] { return known }
        let resource = ResourceGroup(job: job, instance: instance)
        resources.append(resource)
        resourcesByName[key] = resource
        return resource
    }

    /// Where a series with these labels belongs, and its attributes as the repeated field of a point of this kind.
    private func place(_ set: LabelSet, _ kind: MetricKind) -> (ResourceGroup, ScopeKey, attributes: [UInt8])
    {
        var key = ScopeKey()
        var attributes = WireBuffer()
        for label in set.labels where !Self.isStructural(label.name) {
            guard label.name.hasPrefix(Self.scopePrefix), label.name != Self.scopePrefix else {
                attributes.attribute(kind.attributesField, label.name, label.value)
                continue
            }
            switch label.name {
            case "otel_scope_name": key.name = label.value
            case "otel_scope_version": key.version = label.value
            case "otel_scope_schema_url": key.schemaURL = label.value
            default:
                let name = String(label.name.dropFirst(Self.scopePrefix.count))
                key.attributes.append(Label(name, label.value))
            }
        }
        return (resource(set), key, attributes.bytes)
    }
}
