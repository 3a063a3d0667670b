import Compression
import Configuration
import HTTP
import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import PrometheusExporter

/// What arrives at a remote write endpoint.
@Suite("Remote write requests")
struct RemoteWriteTests {
    private func encode(
        _ request: [UInt8], bytesMax: Int = 1 << 20, _ change: (inout RemoteWriteSettings) -> Void = { _ in }
    ) -> EncodedBatch {
        var settings = RemoteWriteSettings()
        change(&settings)
        let batch = Batch(.metrics, payload: Payload(ByteBuffer(bytes: request)), items: 1)
        return RemoteWriteEncoder(settings, requestBytesMax: bytesMax).encode(batch)
    }

    /// The series of requests as `name{a="b"} value@ms …`, labels as they are written.
    private func lines(_ encoded: EncodedBatch) throws -> [String] {
        try encoded.requests.flatMap { request in
            var plain = ByteBuffer()
            let body = Array(buffer: request.body)
            _ = try Snappy.decompress(body.span.bytes, limitBytes: 1 << 24) { room, fill in
                plain.writeWithOutputRawSpan(minimumWritableBytes: room, initializingWith: fill)
            }
            return Array(buffer: plain).withUnsafeBytes { bytes in
                WireBytes(bytes).fields.filter { $0.number == 1 }.map { series($0.bytes) }
            }
        }
    }

    private func series(_ series: WireBytes) -> String {
        var labels: [String] = []
        var values = ""
        for field in series.fields {
            let parts = Array(field.bytes.fields)
            switch field.number {
            case 1: labels.append("\(parts[0].bytes.text)=\(parts[1].bytes.text)")
            case 2:
                let value = parts.first { $0.number == 1 }?.double ?? 0
                let time = parts.first { $0.number == 2 }?.int64 ?? 0
                values += value.isNaN ? " NaN" : " \(value == value.rounded() ? "\(Int(value))" : "\(value)")"
                values += "@\(time / 1000)"
            case 4: values += " histogram"
            default: break
            }
        }
        #expect(labels == labels.sorted(), "labels must be sorted")
        return labels.filter { !$0.hasPrefix("job=") && !$0.hasPrefix("otel_scope") }.joined(separator: ",")
            + values
    }

    /// A wrong name or label is another series than the one that dashboards ask for.
    @Test("numbers, histograms and native histograms become series; a series has all its samples")
    func kinds() throws {
        let request = MetricText.request(
            "c.x sum cumulative mono | a.b=1 | 0..10 | int 5",
            "c.x sum cumulative mono | a.b=1 | 0..20 | int 7",
            "u sum cumulative | | 0..10 | double 2.5", "g gauge | | 0..10 | stale",
            "h hist cumulative | | 0..10 | hist 6 9 [0.5,2] [1,2,3]",
            "n hist cumulative | | 0..10 | hist 1 - [] [1]",
            "e exp cumulative | | 0..10 | exp 4 5 1 1 0 0 [1,2] 0 []")
        let found = try lines(encode(request))
        #expect(
            found == [
                "__name__=c_x_total,a_b=1 5@10 7@20", "__name__=u 2.5@10", "__name__=g NaN@10",
                "__name__=h_sum 9@10", "__name__=h_count 6@10", "__name__=h_bucket,le=0.5 1@10",
                "__name__=h_bucket,le=2 3@10", "__name__=h_bucket,le=+Inf 6@10", "__name__=n_count 1@10",
                "__name__=n_bucket,le=+Inf 1@10", "__name__=e histogram",
            ])
    }

    /// A delta as a counter is a wrong rate; silence about it is worse.
    @Test("what remote write cannot carry is left out and told")
    func untranslated() throws {
        let encoded = encode(
            MetricText.request(
                "d sum delta mono | | 0..10 | int 5", "v gauge | | 0..10 | none", "g gauge | | 0..10 | int 1",
                "e exp cumulative | | 0..10 | exp 1 1 -5 0 0 0 [1] 0 []"))
        #expect(encoded.untranslated == 3 && encoded.reason.contains("scale below -4"))
        #expect(try lines(encoded).contains("__name__=g 1@10"))
        #expect(encoded.requests.reduce(0) { $0 + $1.items } == 1)
    }

    /// Labels that clash must be decided one way, or series jump between two.
    @Test("external labels give way, names are translated as configured")
    func labels() throws {
        let request = MetricText.request("my.c sum cumulative mono | env=point | 0..10 | int 1")
        let external = [ConfigPair("env", "prod"), ConfigPair("b.c", "x")]
        #expect(
            try lines(encode(request) { $0.externalLabels = external })
                == ["__name__=my_c_total,b_c=x,env=point 1@10"])
        #expect(
            try lines(
                encode(request) {
                    $0.strategy = .underscoreEscapingWithoutSuffixes
                    $0.namespace = "ns"
                    $0.resourceLabels.included = ["*"]
                }) == ["__name__=ns_my_c,env=point,service_name=checkout 1@10"])
    }

    /// An endpoint refuses what is larger than it allows.
    @Test("large batches become several requests, each item counted once")
    func sizes() throws {
        let request = RequestBuilder.make(.metrics, items: 200)
        let whole = encode(request)
        let parts = encode(request, bytesMax: 10_000)
        #expect(whole.requests.count == 1 && parts.requests.count > 5)
        #expect(parts.requests.reduce(0) { $0 + $1.items } == 200)
        #expect(try lines(parts) == lines(whole))
    }

    private func read(_ yaml: String) -> (RemoteWriteConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = RemoteWriteConfig(ConfigSection(yaml: yaml, path: "p", diagnostics: diagnostics))
        return (config, diagnostics.items.filter { $0.severity == .error }.map(\.message))
    }

    @Test("keys are those of the Collector, at the top or below http")
    func keys() {
        let (config, problems) = read(
            "{http: {endpoint: 'http://h:1/w', timeout: 2s}, remote_write_queue: {enabled: false, num_consumers: 3}}"
        )
        #expect(problems == [] && config.url.target == "/w" && config.timeout == .seconds(2))
        #expect(!config.queue.enabled && config.queue.numConsumers == 1)
        #expect(config.retryOnFailure.initialInterval == .milliseconds(50))
    }

    @Test(
        "what cannot be done is refused in the Collector's words",
        arguments: [
            ("translation_strategy: Babel", "invalid translation_strategy: Babel"),
            (
                "translation_strategy: NoTranslation",
                "translation strategy NoTranslation requires Prometheus Remote Write 2.0 (UTF-8 support)"
            ),
            ("max_batch_size_bytes: 0", "max_batch_size_bytes must be greater than 0"),
            ("remote_write_queue: {queue_size: 0}", "a 0 size queue will drop all the data"),
            ("compression: gzip", "compression type must be snappy"),
        ])
    func broken(yaml: String, message: String) {
        #expect(read("{endpoint: 'http://h:1/w', \(yaml)}").1 == [message])
    }
}
