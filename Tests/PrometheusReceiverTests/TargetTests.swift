import Configuration
import Testing

@testable import PrometheusReceiver

private func targets(_ lines: String, _ labels: [Label] = [], address: String = "web:9100") throws
    -> ScrapeTarget?
{
    let (job, problems) = readJob(lines)
    #expect(problems == "")
    let own = LabelSet(address.isEmpty ? labels : labels + [Label("__address__", address)])
    return try ScrapeTarget.make(own, in: TargetGroup(source: "test", targets: []), of: job)
}

@Suite struct TargetTests {
    @Test func aTargetHasItsLabelsAndItsAddress() throws {
        let target = try #require(
            try targets("scrape_interval: 10s", [Label("env", "prod"), Label("__meta_x", "y")]))
        #expect("\(target.url)" == "http://web:9100/metrics")
        #expect(target.labels == [Label("env", "prod"), Label("instance", "web:9100"), Label("job", "app")])
        #expect(target.interval == .seconds(10) && target.timeout == .seconds(10))
    }

    /// Relabelling decides where, how and how often is asked: blackbox exporters and annotated pods work like this.
    @Test(arguments: [
        ("params: {target: [a b, c], m: [1]}", "http://web:9100/metrics?target=a%20b&target=c&m=1"),
        ("scheme: https\nmetrics_path: probe?x=y\nparams: {a: ['/']}", "https://web:9100/probe?x=y&a=%2F"),
        (
            """
            relabel_configs:
              - {source_labels: [__address__], target_label: __param_target}
              - {source_labels: [__param_target], target_label: instance}
              - {target_label: __address__, replacement: 'blackbox:9115'}
              - {target_label: __scheme__, replacement: https}
              - {target_label: __metrics_path__, replacement: /probe}
            """, "https://blackbox:9115/probe?target=web%3A9100"
        ),
    ])
    func urls(lines: String, url: String) throws {
        #expect(try targets(lines).map { "\($0.url)" } == url)
    }

    @Test func relabellingMaySetTheInterval() throws {
        let target = try targets(
            "relabel_configs: [{target_label: __scrape_interval__, replacement: 3s}]", [])
        #expect(target?.interval == .seconds(3) && target?.timeout == .seconds(3))
    }

    @Test func droppedTargetsAreNone() throws {
        #expect(
            try targets("relabel_configs: [{action: drop, source_labels: [__address__], regex: 'web.*'}]")
                == nil)
    }

    @Test(arguments: [
        ("", "__address__"), ("web:0", "port"), ("we b:1", "ASCII"), ("web:http", "port"),
    ])
    func badAddressesAreNamed(address: String, message: String) {
        #expect {
            _ = try targets("scrape_interval: 10s", address: address)
        } throws: { ($0 as? ScrapeTarget.Problem)?.text.contains(message) == true }
    }

    /// A hundred targets at once would be a burst of CPU, of connections and of memory each interval.
    @Test func targetsAreSpreadOverTheInterval() throws {
        let (job, _) = readJob("scrape_interval: 10s")
        let group = TargetGroup(source: "", targets: [])
        let offsets = try (0..<1000).map { number in
            try ScrapeTarget.make(LabelSet([Label("__address__", "host-\(number):80")]), in: group, of: job)!
                .offset
        }
        for tenth in 0..<10 {
            let count = offsets.filter { $0 >= .seconds(tenth) && $0 < .seconds(tenth + 1) }.count
            #expect((50...160).contains(count), "\(tenth): \(count)")
        }
    }

    @Test(arguments: [0, 1, 4_999_999_999, 5_000_000_000, 123_456_789_012_345] as [UInt64])
    func theNextScrapeIsWithinOneInterval(now: UInt64) throws {
        let target = try #require(try targets("scrape_interval: 5s"))
        let next = target.nextScrape(after: now)
        #expect(next > now && next <= now + 5_000_000_000)
        #expect(Int64(next % 5_000_000_000) == target.offset.wholeNanoseconds)
        #expect(target.nextScrape(after: next) == next + 5_000_000_000)
    }

    @Test(arguments: [
        ("host:80", "host", "80"), ("[::1]:80", "::1", "80"), ("::1", "::1", ""), ("host", "host", ""),
        ("host:", "host:", ""), ("1.2.3.4:9", "1.2.3.4", "9"),
    ])
    func hostsAndPorts(address: String, host: String, port: String) {
        #expect(ResourceGroup.hostAndPort(address) == (host, port))
    }

    @Test(arguments: [
        ("localhost", false), ("127.0.0.1", false), ("0.0.0.0", false), ("::1", false), ("10.0.0.1", true),
        ("web", true),
    ])
    func hostsThatMeanNothingElsewhere(host: String, means: Bool) {
        #expect(ResourceGroup.namesAHost(host) == means)
    }

    @Test(
        arguments: [
            ("text/plain; version=0.0.4; charset=utf-8", ScrapeProtocol.text004), ("TEXT/PLAIN", .text004),
            ("application/openmetrics-text; version=1.0.0", .openMetrics100),
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                .protobuf
            ),
            ("application/vnd.google.protobuf; encoding=text", nil), ("text/html", nil), ("", nil),
        ] as [(String, ScrapeProtocol?)])
    func formats(contentType: String, format: ScrapeProtocol?) {
        #expect(ScrapePage.format(of: contentType) == format)
    }
}
