package import OTLP

/// `Export*ServiceRequest`s like those of a web shop, the same bytes for the same arguments.
///
/// One resource of 11 attributes and one scope. A span takes about 456 bytes: ten attributes, and an event
/// on every tenth. Half of the data points are sums, half histograms of 11 buckets.
package enum RequestBuilder {
    /// A request of this signal with so many items.
    package static func make(_ signal: Signal, items: Int, seed: UInt64 = 1) -> [UInt8] {
        switch signal {
        case .traces: makeTraces(spans: items, seed: seed)
        case .metrics: makeMetrics(points: items, seed: seed)
        case .logs: makeLogs(records: items, seed: seed)
        }
    }

    /// An `ExportTraceServiceRequest`. Span `n` (from 0) starts `n` microseconds after the first.
    package static func makeTraces(
        spans: Int, seed: UInt64 = 1, service: String = "checkout"
    ) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        return entry(service: service, scope: "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
        {
            for index in 0..<spans { $0.message(2) { span(&$0, index, &random) } }
        }
    }

    /// An `ExportMetricsServiceRequest` with metrics of up to 50 points each.
    package static func makeMetrics(
        points: Int, seed: UInt64 = 1, service: String = "checkout"
    ) -> [UInt8] {
        entry(service: service, scope: "app.meter") { scope in
            var left = points
            var index = 0
            while left > 0 {
                let count = min(50, left)
                scope.message(2) {
                    if index % 2 == 0 {
                        sum(&$0, index, points: count)
                    } else {
                        histogram(&$0, index, points: count)
                    }
                }
                left -= count
                index += 1
            }
        }
    }

    /// An `ExportLogsServiceRequest`.
    package static func makeLogs(
        records: Int, seed: UInt64 = 1, service: String = "checkout"
    ) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        return entry(service: service, scope: "app.logger") {
            for index in 0..<records { $0.message(2) { logRecord(&$0, index, &random) } }
        }
    }

    private static let startTime: UInt64 = 1_764_000_000_000_000_000

    private static func entry(
        service: String, scope: String, items: (inout ProtoWriter) -> Void
    ) -> [UInt8] {
        var request = ProtoWriter()
        request.message(1) {
            $0.message(1) { resource(&$0, service) }
            $0.message(2) {
                $0.message(1) {
                    $0.text(1, scope)
                    $0.text(2, "0.55.0")
                }
                items(&$0)
            }
        }
        return request.bytes
    }

    private static func resource(_ writer: inout ProtoWriter, _ service: String) {
        writer.attribute(1, "service.name", service)
        writer.attribute(1, "service.namespace", "shop")
        writer.attribute(1, "service.version", "1.4.2")
        writer.attribute(1, "service.instance.id", "627cc493f310a47fb96c4b7d2c1b2a01")
        writer.attribute(1, "k8s.pod.name", "\(service)-7d9f8b6c5-x2x7q")
        writer.attribute(1, "k8s.namespace.name", "prod")
        writer.attribute(1, "k8s.node.name", "node-17")
        writer.attribute(1, "host.name", "ip-10-0-3-17")
        writer.attribute(1, "telemetry.sdk.language", "go")
        writer.attribute(1, "telemetry.sdk.name", "opentelemetry")
        writer.attribute(1, "telemetry.sdk.version", "1.30.0")
    }

    private static func span(_ writer: inout ProtoWriter, _ index: Int, _ random: inout SeededRandom) {
        let start = startTime + UInt64(index) * 1000
        writer.field(1, random.bytes(16))
        writer.field(2, random.bytes(8))
        writer.field(4, random.bytes(8))
        writer.text(5, "GET /api/v1/products/{id}")
        writer.integer(6, 2)
        writer.fixed64(7, start)
        writer.fixed64(8, start + UInt64(random.below(5_000_000)))
        writer.attribute(9, "http.request.method", "GET")
        writer.attribute(9, "url.scheme", "http")
        writer.attribute(9, "server.address", "checkout.prod.svc")
        writer.attribute(9, "server.port", 8080)
        writer.attribute(9, "url.path", "/api/v1/products/\(random.below(90_000) + 10_000)")
        writer.attribute(9, "http.response.status_code", 200)
        writer.attribute(9, "network.protocol.version", "1.1")
        writer.attribute(9, "user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)")
        writer.attribute(9, "client.address", "10.0.\(random.below(256)).\(random.below(256))")
        writer.attribute(9, "http.route", "/api/v1/products/{id}")
        if index % 10 == 0 {
            writer.message(11) {
                $0.fixed64(1, start)
                $0.text(2, "cache.miss")
                $0.attribute(3, "cache.key", "product:\(index)")
            }
        }
        writer.message(15) { $0.integer(3, 1) }
        writer.fixed32(16, 0x101)
    }

    private static func logRecord(_ writer: inout ProtoWriter, _ index: Int, _ random: inout SeededRandom) {
        let time = startTime + UInt64(index) * 1000
        let order = random.below(90_000_000) + 10_000_000
        writer.fixed64(1, time)
        writer.integer(2, 9)
        writer.text(3, "INFO")
        writer.message(5) {
            $0.text(1, "order \(order) placed by user \(index) total=2.44 currency=USD items=3")
        }
        writer.attribute(6, "order.id", order)
        writer.attribute(6, "http.route", "/api/v1/orders")
        writer.attribute(6, "thread.name", "worker-\(index % 8)")
        writer.field(9, random.bytes(16))
        writer.field(10, random.bytes(8))
        writer.fixed64(11, time + 50)
    }

    private static func sum(_ writer: inout ProtoWriter, _ index: Int, points: Int) {
        writer.text(1, "http.server.requests.\(index)")
        writer.text(2, "Requests served.")
        writer.text(3, "{request}")
        writer.message(7) {
            for point in 0..<points {
                $0.message(1) {
                    $0.fixed64(2, startTime)
                    $0.fixed64(3, startTime + 10_000_000_000)
                    $0.fixed64(6, UInt64(1000 + point))
                    pointAttributes(&$0, 7, point)
                }
            }
            $0.integer(2, 2)
            $0.integer(3, 1)
        }
    }

    private static func histogram(_ writer: inout ProtoWriter, _ index: Int, points: Int) {
        writer.text(1, "http.server.duration.\(index)")
        writer.text(2, "Time to serve a request.")
        writer.text(3, "s")
        writer.message(9) {
            for point in 0..<points {
                $0.message(1) {
                    $0.fixed64(2, startTime)
                    $0.fixed64(3, startTime + 10_000_000_000)
                    $0.fixed64(4, 110)
                    $0.double(5, 1.5 * Double(point))
                    $0.packedFixed64(6, Array(repeating: 10, count: 11))
                    let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
                    $0.packedFixed64(7, bounds.map(\.bitPattern))
                    pointAttributes(&$0, 9, point)
                }
            }
            $0.integer(2, 2)
        }
    }

    private static func pointAttributes(_ writer: inout ProtoWriter, _ number: Int, _ point: Int) {
        writer.attribute(number, "http.request.method", "GET")
        writer.attribute(number, "http.route", "/api/v1/r\(point)")
        writer.attribute(number, "http.response.status_code", 200)
    }
}
