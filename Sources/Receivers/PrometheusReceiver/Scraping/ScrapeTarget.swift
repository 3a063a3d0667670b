internal import Configuration
internal import HTTP

/// A target after relabelling: what is asked, how often, and what its series are labelled with.
struct ScrapeTarget: Sendable, Hashable {
    /// Labels for its series; none begins with `__`.
    let labels: [Label]
    /// Where its page is.
    let url: HTTPURL
    let interval: Duration
    let timeout: Duration

    /// Why labels make no target.
    struct Problem: Error, Equatable {
        let text: String
    }

    /// The target of a group's entry; nil when relabelling drops it.
    static func make(
        _ own: LabelSet, in group: TargetGroup, of job: ScrapeConfig
    ) throws(Problem) -> ScrapeTarget? {
        var set = LabelSet(group.labels.labels + own.labels)
        for (name, value) in defaults(job) where !set.contains(name) { set[name] = value }
        guard job.targetRelabelling.apply(to: &set) else { return nil }
        let address = set[Label.address]
        guard !address.isEmpty else { throw Problem(text: "it has no __address__ after relabelling") }
        let url = try url(set, address, job)
        if set["instance"].isEmpty { set["instance"] = address }
        let interval = try duration(set, "__scrape_interval__")
        let timeout = try duration(set, "__scrape_timeout__")
        set.removeAll { $0.name.hasPrefix("__") }
        for label in job.externalLabels where !set.contains(label.name) { set[label.name] = label.value }
        return ScrapeTarget(labels: set.labels, url: url, interval: interval, timeout: min(timeout, interval))
    }

    private static func defaults(_ job: ScrapeConfig) -> [(String, String)] {
        [
            ("job", job.name), ("__scheme__", job.scheme.rawValue), ("__metrics_path__", job.metricsPath),
            ("__scrape_interval__", milliseconds(job.interval)),
            ("__scrape_timeout__", milliseconds(job.timeout)),
        ]
            + job.parameters.compactMap { parameter in
                parameter.values.first.map { ("__param_" + parameter.name, $0) }
            }
    }

    private static func milliseconds(_ duration: Duration) -> String {
        "\(duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000)ms"
    }

    private static func duration(_ set: LabelSet, _ name: String) throws(Problem) -> Duration {
        guard let value = PrometheusText.duration(set[name]), value > .zero else {
            throw Problem(text: "\(name) \"\(set[name])\" is not a valid duration")
        }
        return value
    }

    private static func url(_ set: LabelSet, _ address: String, _ job: ScrapeConfig) throws(Problem)
        -> HTTPURL
    {
        let path = set["__metrics_path__"]
        var query: [String] = []
        for parameter in job.parameters {
            // The label speaks for the first value.
            let label = set["__param_" + parameter.name]
            let rest = label.isEmpty ? parameter.values : [label] + parameter.values.dropFirst()
            query += rest.map { percentEncoded(parameter.name) + "=" + percentEncoded($0) }
        }
        for label in set.labels where label.name.hasPrefix("__param_") {
            let name = String(label.name.dropFirst("__param_".count))
            guard !job.parameters.contains(where: { $0.name == name }) else { continue }
            query.append(percentEncoded(name) + "=" + percentEncoded(label.value))
        }
        let separator = path.contains("?") ? "&" : "?"
        let target =
            (path.hasPrefix("/") ? path : "/" + path)
            + (query.isEmpty ? "" : separator + query.joined(separator: "&"))
        let text = "\(set["__scheme__"])://\(address)\(target)"
        do throws(HTTPURLProblem) {
            return try HTTPURL(text)
        } catch {
            throw Problem(text: "\"\(text)\" \(error)")
        }
    }

    /// A part of a query; only what needs no escape anywhere is written as it is.
    static func percentEncoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if SeriesText.isNameByte(byte, colons: false) || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: ".")
            {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// When within its interval the target is scraped: spread evenly, and the same after a restart.
    var offset: Duration {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in ("\(url)" + labels.map { "\u{0}\($0.name)=\($0.value)" }.joined()).utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        // The low bits of this hash are the even ones.
        hash ^= hash >> 32
        return .nanoseconds(Int64(hash % UInt64(interval.wholeNanoseconds)))
    }

    /// The first moment after `now` at which it is due, on a clock that starts at 0.
    func nextScrape(after now: UInt64) -> UInt64 {
        let interval = UInt64(interval.wholeNanoseconds)
        let offset = UInt64(offset.wholeNanoseconds)
        let past = (now + interval - offset) % interval
        return now + interval - past
    }
}
