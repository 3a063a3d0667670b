import Configuration
import HTTP
import Testing

@testable import PrometheusReceiver

func read(_ yaml: String) -> (config: PrometheusReceiverConfig, problems: String) {
    let diagnostics = Diagnostics()
    let section = ConfigSection(yaml: yaml, path: "receivers::prometheus", diagnostics: diagnostics)
    let config = PrometheusReceiverConfig(section)
    return (config, diagnostics.render())
}

/// A job with these lines, and what is wrong with them.
func readJob(_ lines: String, global: String = "") -> (job: ScrapeConfig, problems: String) {
    let body = lines.split(separator: "\n").map { "      " + $0 }.joined(separator: "\n")
    let yaml = "config:\n\(global)  scrape_configs:\n    - job_name: app\n\(body)\n"
    let (config, problems) = read(yaml)
    return (config.jobs[0], problems)
}

@Suite struct ConfigTests {
    @Test func defaultsArePrometheus() {
        let (job, problems) = readJob("static_configs: [{targets: ['localhost:8888']}]")
        #expect(problems == "")
        #expect(job.interval == .seconds(60) && job.timeout == .seconds(10) && job.metricsPath == "/metrics")
        #expect(
            job.scheme == .http && job.honorsTimestamps && !job.honorsLabels && job.client.followsRedirects)
        #expect(job.limits == ScrapeLimits() && job.limits.pageBytesMax == 64 << 20)
        #expect(
            ScrapeProtocol.accept(job.protocols)
                == "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                + "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
                + "text/plain;version=0.0.4;q=0.2,*/*;q=0.1")
    }

    /// A configuration of Prometheus, copied as it is.
    @Test func everythingIsRead() {
        let (job, problems) = readJob(
            """
            scrape_interval: 1m30s
            scrape_timeout: 20s
            metrics_path: /m
            scheme: https
            honor_labels: true
            honor_timestamps: false
            params: {module: [http_2xx, 2], n: [1]}
            basic_auth: {username: u, password_file: /p}
            tls_config: {server_name: s, insecure_skip_verify: true, min_version: TLS13}
            http_headers: {X-A: {values: [b], secrets: [c]}}
            sample_limit: 10
            body_size_limit: 10MB
            label_limit: 5
            target_limit: 3
            scrape_protocols: [PrometheusProto, PrometheusText0.0.4]
            static_configs:
              - targets: [a:1, b:2]
                labels: {env: prod, shard: 7}
            file_sd_configs:
              - files: [/etc/targets/*.json]
                refresh_interval: 30s
            kubernetes_sd_configs:
              - role: pod
                api_server: https://10.0.0.1:6443
                namespaces: {names: [a, b]}
                selectors: [{role: pod, label: app=x}]
                authorization: {credentials_file: /token}
            relabel_configs:
              - source_labels: [__meta_kubernetes_pod_name]
                target_label: pod
              - {action: Keep, source_labels: [pod], regex: 'x.*'}
            metric_relabel_configs:
              - {action: labeldrop, regex: pod}
            """, global: "  global: {scrape_interval: 15s, external_labels: {cluster: c}}\n")
        #expect(problems == "")
        #expect(job.interval == .seconds(90) && job.timeout == .seconds(20) && job.scheme == .https)
        #expect(job.parameters.map(\.values) == [["http_2xx", "2"], ["1"]])
        #expect(job.client.authorization == .basic(user: .text(Secret("u")), password: .file("/p")))
        #expect(job.client.tls.serverNameOverride == "s" && job.client.tls.insecureSkipVerify)
        #expect(job.client.headers.map(\.value.value) == ["b", "c"])
        #expect(job.limits.bodySize == 10 << 20 && job.limits.samples == 10 && job.limits.targets == 3)
        #expect(job.staticGroups[0].targets.count == 2 && job.staticGroups[0].labels["shard"] == "7")
        #expect(job.fileDiscovery[0].refreshInterval == .seconds(30))
        #expect(job.kubernetesDiscovery[0].selectors[.pod]?.label == "app=x")
        #expect(job.targetRelabelling.map(\.action) == [.replace, .keep])
        #expect(job.externalLabels == [Label("cluster", "c")])
        #expect(job.protocols == [.protobuf, .text004])
    }

    @Test func globalsAreTakenOver() {
        let global =
            "  global: {scrape_interval: 5s, scrape_timeout: 4s, sample_limit: 7, scrape_native_histograms: true}\n"
        let plain = readJob("metrics_path: /x", global: global)
        #expect(plain.problems == "")
        #expect(plain.job.interval == .seconds(5) && plain.job.timeout == .seconds(4))
        #expect(plain.job.limits.samples == 7 && plain.job.protocols.first == .protobuf)
        // An interval below the global timeout cuts that.
        #expect(readJob("scrape_interval: 2s", global: global).job.timeout == .seconds(2))
    }

    /// A mistake must show before the first scrape is missed, with what to write instead.
    @Test(arguments: [
        ("scrape_interval: 10", "is not a valid duration"),
        ("scrape_interval: 1.5s", "is not a valid duration"),
        ("scrape_interval: 0s", "greater than 0"),
        ("scrape_timeout: 2m", "must not exceed scrape_interval 1m"),
        ("scheme: ftp", "unknown value \"ftp\""),
        ("static_configs: [{targets: ['http://a/']}]", "is not a valid address"),
        ("static_configs: [{labels: {a: b}}]", "requires \"targets\""),
        ("static_configs: [{target: [a]}]", "unknown key"),
        ("relabel_configs: [{action: kepe}]", "did you mean \"keep\""),
        ("relabel_configs: [{regex: '('}]", "not a valid regular"),
        ("relabel_configs: [{source_labels: [a]}]", "requires \"target_label\""),
        ("relabel_configs: [{action: hashmod, target_label: a}]", "requires \"modulus\""),
        ("relabel_configs: [{action: lowercase, target_label: $1}]", "takes no groups"),
        ("file_sd_configs: [{files: [/a.txt]}]", "must end with"),
        ("file_sd_configs: [{}]", "requires \"files\""),
        ("kubernetes_sd_configs: [{role: ingress}]", "not supported yet"),
        (
            "kubernetes_sd_configs: [{role: node, selectors: [{role: pod, label: a}]}]",
            "\"pod\" is not asked for"
        ),
        ("kubernetes_sd_configs: [{}]", "requires \"role\""),
        ("kubernetes_sd_configs: [{role: pod, api_server: x}]", "has no scheme"),
        ("consul_sd_configs: [{server: x}]", "file_sd_configs"),
        ("http_sd_configs: [{url: x}]", "not supported yet"),
        ("basic_auth: {username: u}\nbearer_token: x", "only one can be used"),
        ("oauth2: {client_id: x}", "not supported"),
        ("body_size_limit: 10 apples", "not a number of bytes"),
        ("scrape_intervall: 1s", "did you mean \"scrape_interval\""),
        ("scrape_protocols: [Prometheus]", "unknown value"),
        ("tls_config: {cert_file: /c}", "both a certificate"),
        ("tls_config: {ca_file: /nowhere}", "/nowhere"),
        ("authorization: {type: Basic, credentials: x}", "write basic_auth"),
        ("proxy_url: http://x", "not supported yet"),
    ])
    func mistakesAreNamed(lines: String, message: String) {
        let problems = readJob(lines).problems
        #expect(problems.contains(message), "\(problems)")
    }

    @Test(arguments: [
        (
            "config: {scrape_configs: [{job_name: a}], remote_write: [{url: x}]}",
            "remote_write: is not supported"
        ),
        ("config: {scrape_configs: [{job_name: a}], rule_files: [x]}", "rule_files: is not supported"),
        ("config: {scrape_configs: [{job_name: a}], alerting: {a: b}}", "alerting: is not supported"),
        (
            "config: {scrape_configs: [{job_name: a}], remote_read: [{url: x}]}",
            "remote_read: is not supported"
        ),
        ("config: {scrape_config_files: [x]}", "scrape_config_files: is not supported"),
        ("config: {scrape_configs: [{job_name: a}, {job_name: a}]}", "another job"),
        ("config: {scrape_configs: [{scrape_interval: 1s}]}", "requires \"job_name\""),
        ("config: {}", "requires \"scrape_configs\""), ("{}", "requires \"config\""),
        (
            "config: {scrape_configs: [{job_name: a}]}\ntarget_allocator: {endpoint: x}",
            "target_allocator: is not supported"
        ),
    ])
    func whatIsNotPartOfAReceiverIsNamed(yaml: String, message: String) {
        let problems = read(yaml).problems
        #expect(problems.contains(message), "\(problems)")
    }

    @Test(arguments: [
        ("0", 0), ("1ms", 1), ("10s", 10_000), ("1m", 60_000), ("1h30m", 5_400_000), ("1d", 86_400_000),
        ("2w3d", 1_468_800_000), ("1y", 31_536_000_000), ("1m500ms", 60_500),
    ])
    func durations(text: String, milliseconds: Int64) {
        #expect(PrometheusText.duration(text) == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "s", "10", "1.5s", "-1s", "1s1m", "1m1m", "1x", "99999999999999y", " 1s"])
    func whatIsNoDurationIsRefused(text: String) { #expect(PrometheusText.duration(text) == nil) }

    @Test(arguments: [
        ("0", 0), ("10", 10), ("1B", 1), ("2KB", 2048), ("3KiB", 3072), ("1MB", 1 << 20), ("4GB", 4 << 30),
    ])
    func sizes(text: String, bytes: Int) { #expect(PrometheusText.bytes(text) == bytes) }

    @Test(arguments: ["", "MB", "1XB", "1 MB", "1M", "9999999999TB", "-1B", "1iB"])
    func whatIsNoSizeIsRefused(text: String) { #expect(PrometheusText.bytes(text) == nil) }
}
