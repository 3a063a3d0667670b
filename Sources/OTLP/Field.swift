/// Field numbers of the OTLP messages, for reading them with `WireBytes.fields`. The schema is in `proto/`.
package enum Field {
    /// The three `Export*ServiceRequest`s.
    package enum Request {
        @inlinable package static var resources: UInt32 { 1 }
    }

    /// `ResourceSpans`, `ResourceMetrics`, `ResourceLogs`.
    package enum ResourceEntry {
        @inlinable package static var resource: UInt32 { 1 }
        @inlinable package static var scopes: UInt32 { 2 }
        @inlinable package static var schemaURL: UInt32 { 3 }
    }

    /// `Resource`.
    package enum Resource {
        @inlinable package static var attributes: UInt32 { 1 }
        @inlinable package static var droppedAttributesCount: UInt32 { 2 }
        @inlinable package static var entityRefs: UInt32 { 3 }
    }

    /// `ScopeSpans`, `ScopeMetrics`, `ScopeLogs`; the entries are spans, metrics or log records.
    package enum ScopeEntry {
        @inlinable package static var scope: UInt32 { 1 }
        @inlinable package static var entries: UInt32 { 2 }
        @inlinable package static var schemaURL: UInt32 { 3 }
    }

    /// `InstrumentationScope`.
    package enum Scope {
        @inlinable package static var name: UInt32 { 1 }
        @inlinable package static var version: UInt32 { 2 }
        @inlinable package static var attributes: UInt32 { 3 }
        @inlinable package static var droppedAttributesCount: UInt32 { 4 }
    }

    /// `KeyValue`.
    package enum KeyValue {
        @inlinable package static var key: UInt32 { 1 }
        @inlinable package static var value: UInt32 { 2 }
    }

    /// `AnyValue`.
    package enum AnyValue {
        @inlinable package static var string: UInt32 { 1 }
        @inlinable package static var bool: UInt32 { 2 }
        @inlinable package static var int: UInt32 { 3 }
        @inlinable package static var double: UInt32 { 4 }
        @inlinable package static var array: UInt32 { 5 }
        @inlinable package static var keyValueList: UInt32 { 6 }
        @inlinable package static var bytes: UInt32 { 7 }
    }

    /// `ArrayValue` (of `AnyValue`) and `KeyValueList` (of `KeyValue`).
    package enum List {
        @inlinable package static var values: UInt32 { 1 }
    }

    /// `Span`.
    package enum Span {
        @inlinable package static var traceID: UInt32 { 1 }
        @inlinable package static var spanID: UInt32 { 2 }
        @inlinable package static var traceState: UInt32 { 3 }
        @inlinable package static var parentSpanID: UInt32 { 4 }
        @inlinable package static var name: UInt32 { 5 }
        @inlinable package static var kind: UInt32 { 6 }
        @inlinable package static var startTime: UInt32 { 7 }
        @inlinable package static var endTime: UInt32 { 8 }
        @inlinable package static var attributes: UInt32 { 9 }
        @inlinable package static var droppedAttributesCount: UInt32 { 10 }
        @inlinable package static var events: UInt32 { 11 }
        @inlinable package static var droppedEventsCount: UInt32 { 12 }
        @inlinable package static var links: UInt32 { 13 }
        @inlinable package static var droppedLinksCount: UInt32 { 14 }
        @inlinable package static var status: UInt32 { 15 }
        @inlinable package static var flags: UInt32 { 16 }
    }

    /// `Span.Event`.
    package enum SpanEvent {
        @inlinable package static var time: UInt32 { 1 }
        @inlinable package static var name: UInt32 { 2 }
        @inlinable package static var attributes: UInt32 { 3 }
        @inlinable package static var droppedAttributesCount: UInt32 { 4 }
    }

    /// `Span.Link`.
    package enum SpanLink {
        @inlinable package static var traceID: UInt32 { 1 }
        @inlinable package static var spanID: UInt32 { 2 }
        @inlinable package static var traceState: UInt32 { 3 }
        @inlinable package static var attributes: UInt32 { 4 }
        @inlinable package static var droppedAttributesCount: UInt32 { 5 }
        @inlinable package static var flags: UInt32 { 6 }
    }

    /// `Status` of a span.
    package enum SpanStatus {
        @inlinable package static var message: UInt32 { 2 }
        @inlinable package static var code: UInt32 { 3 }
    }

    /// `LogRecord`.
    package enum LogRecord {
        @inlinable package static var time: UInt32 { 1 }
        @inlinable package static var severityNumber: UInt32 { 2 }
        @inlinable package static var severityText: UInt32 { 3 }
        @inlinable package static var body: UInt32 { 5 }
        @inlinable package static var attributes: UInt32 { 6 }
        @inlinable package static var droppedAttributesCount: UInt32 { 7 }
        @inlinable package static var flags: UInt32 { 8 }
        @inlinable package static var traceID: UInt32 { 9 }
        @inlinable package static var spanID: UInt32 { 10 }
        @inlinable package static var observedTime: UInt32 { 11 }
        @inlinable package static var eventName: UInt32 { 12 }
    }

    /// `Metric`; one of the five kinds is set.
    package enum Metric {
        @inlinable package static var name: UInt32 { 1 }
        @inlinable package static var description: UInt32 { 2 }
        @inlinable package static var unit: UInt32 { 3 }
        @inlinable package static var gauge: UInt32 { 5 }
        @inlinable package static var sum: UInt32 { 7 }
        @inlinable package static var histogram: UInt32 { 9 }
        @inlinable package static var exponentialHistogram: UInt32 { 10 }
        @inlinable package static var summary: UInt32 { 11 }
        @inlinable package static var metadata: UInt32 { 12 }
    }

    /// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram`, `Summary`.
    package enum MetricData {
        @inlinable package static var dataPoints: UInt32 { 1 }
        @inlinable package static var temporality: UInt32 { 2 }
        @inlinable package static var isMonotonic: UInt32 { 3 }
    }

    /// `NumberDataPoint` (of gauges and sums).
    package enum NumberPoint {
        @inlinable package static var startTime: UInt32 { 2 }
        @inlinable package static var time: UInt32 { 3 }
        @inlinable package static var asDouble: UInt32 { 4 }
        @inlinable package static var exemplars: UInt32 { 5 }
        @inlinable package static var asInt: UInt32 { 6 }
        @inlinable package static var attributes: UInt32 { 7 }
        @inlinable package static var flags: UInt32 { 8 }
    }

    /// `HistogramDataPoint`.
    package enum HistogramPoint {
        @inlinable package static var startTime: UInt32 { 2 }
        @inlinable package static var time: UInt32 { 3 }
        @inlinable package static var count: UInt32 { 4 }
        @inlinable package static var sum: UInt32 { 5 }
        @inlinable package static var bucketCounts: UInt32 { 6 }
        @inlinable package static var explicitBounds: UInt32 { 7 }
        @inlinable package static var exemplars: UInt32 { 8 }
        @inlinable package static var attributes: UInt32 { 9 }
        @inlinable package static var flags: UInt32 { 10 }
        @inlinable package static var min: UInt32 { 11 }
        @inlinable package static var max: UInt32 { 12 }
    }

    /// `ExponentialHistogramDataPoint`.
    package enum ExponentialPoint {
        @inlinable package static var attributes: UInt32 { 1 }
        @inlinable package static var startTime: UInt32 { 2 }
        @inlinable package static var time: UInt32 { 3 }
        @inlinable package static var count: UInt32 { 4 }
        @inlinable package static var sum: UInt32 { 5 }
        @inlinable package static var scale: UInt32 { 6 }
        @inlinable package static var zeroCount: UInt32 { 7 }
        @inlinable package static var positive: UInt32 { 8 }
        @inlinable package static var negative: UInt32 { 9 }
        @inlinable package static var flags: UInt32 { 10 }
        @inlinable package static var exemplars: UInt32 { 11 }
        @inlinable package static var min: UInt32 { 12 }
        @inlinable package static var max: UInt32 { 13 }
        @inlinable package static var zeroThreshold: UInt32 { 14 }
    }

    /// `ExponentialHistogramDataPoint.Buckets`.
    package enum Buckets {
        @inlinable package static var offset: UInt32 { 1 }
        @inlinable package static var bucketCounts: UInt32 { 2 }
    }

    /// `SummaryDataPoint`.
    package enum SummaryPoint {
        @inlinable package static var startTime: UInt32 { 2 }
        @inlinable package static var time: UInt32 { 3 }
        @inlinable package static var count: UInt32 { 4 }
        @inlinable package static var sum: UInt32 { 5 }
        @inlinable package static var quantileValues: UInt32 { 6 }
        @inlinable package static var attributes: UInt32 { 7 }
        @inlinable package static var flags: UInt32 { 8 }
    }

    /// `SummaryDataPoint.ValueAtQuantile`.
    package enum QuantileValue {
        @inlinable package static var quantile: UInt32 { 1 }
        @inlinable package static var value: UInt32 { 2 }
    }

    /// `Exemplar`.
    package enum Exemplar {
        @inlinable package static var time: UInt32 { 2 }
        @inlinable package static var asDouble: UInt32 { 3 }
        @inlinable package static var spanID: UInt32 { 4 }
        @inlinable package static var traceID: UInt32 { 5 }
        @inlinable package static var asInt: UInt32 { 6 }
        @inlinable package static var filteredAttributes: UInt32 { 7 }
    }
}
