// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation
// The names are those of the schema, which says what they mean.

/// Field numbers of the OTLP messages, for reading them with `WireBytes.fields`. The schema is in `proto/`.
public enum Field {
    /// The three `Export*ServiceRequest`s.
    public enum Request {
        @inlinable public static var resources: UInt32 { 1 }
    }

    /// `ResourceSpans`, `ResourceMetrics`, `ResourceLogs`.
    public enum ResourceEntry {
        @inlinable public static var resource: UInt32 { 1 }
        @inlinable public static var scopes: UInt32 { 2 }
        @inlinable public static var schemaURL: UInt32 { 3 }
    }

    /// `Resource`.
    public enum Resource {
        @inlinable public static var attributes: UInt32 { 1 }
        @inlinable public static var droppedAttributesCount: UInt32 { 2 }
        @inlinable public static var entityRefs: UInt32 { 3 }
    }

    /// `ScopeSpans`, `ScopeMetrics`, `ScopeLogs`; the entries are spans, metrics or log records.
    public enum ScopeEntry {
        @inlinable public static var scope: UInt32 { 1 }
        @inlinable public static var entries: UInt32 { 2 }
        @inlinable public static var schemaURL: UInt32 { 3 }
    }

    /// `InstrumentationScope`.
    public enum Scope {
        @inlinable public static var name: UInt32 { 1 }
        @inlinable public static var version: UInt32 { 2 }
        @inlinable public static var attributes: UInt32 { 3 }
        @inlinable public static var droppedAttributesCount: UInt32 { 4 }
    }

    /// `KeyValue`.
    public enum KeyValue {
        @inlinable public static var key: UInt32 { 1 }
        @inlinable public static var value: UInt32 { 2 }
    }

    /// `AnyValue`.
    public enum AnyValue {
        @inlinable public static var string: UInt32 { 1 }
        @inlinable public static var bool: UInt32 { 2 }
        @inlinable public static var int: UInt32 { 3 }
        @inlinable public static var double: UInt32 { 4 }
        @inlinable public static var array: UInt32 { 5 }
        @inlinable public static var keyValueList: UInt32 { 6 }
        @inlinable public static var bytes: UInt32 { 7 }
    }

    /// `ArrayValue` (of `AnyValue`) and `KeyValueList` (of `KeyValue`).
    public enum List {
        @inlinable public static var values: UInt32 { 1 }
    }

    /// `Span`.
    public enum Span {
        @inlinable public static var traceID: UInt32 { 1 }
        @inlinable public static var spanID: UInt32 { 2 }
        @inlinable public static var traceState: UInt32 { 3 }
        @inlinable public static var parentSpanID: UInt32 { 4 }
        @inlinable public static var name: UInt32 { 5 }
        @inlinable public static var kind: UInt32 { 6 }
        @inlinable public static var startTime: UInt32 { 7 }
        @inlinable public static var endTime: UInt32 { 8 }
        @inlinable public static var attributes: UInt32 { 9 }
        @inlinable public static var droppedAttributesCount: UInt32 { 10 }
        @inlinable public static var events: UInt32 { 11 }
        @inlinable public static var droppedEventsCount: UInt32 { 12 }
        @inlinable public static var links: UInt32 { 13 }
        @inlinable public static var droppedLinksCount: UInt32 { 14 }
        @inlinable public static var status: UInt32 { 15 }
        @inlinable public static var flags: UInt32 { 16 }
    }

    /// `Span.Event`.
    public enum SpanEvent {
        @inlinable public static var time: UInt32 { 1 }
        @inlinable public static var name: UInt32 { 2 }
        @inlinable public static var attributes: UInt32 { 3 }
        @inlinable public static var droppedAttributesCount: UInt32 { 4 }
    }

    /// `Span.Link`.
    public enum SpanLink {
        @inlinable public static var traceID: UInt32 { 1 }
        @inlinable public static var spanID: UInt32 { 2 }
        @inlinable public static var traceState: UInt32 { 3 }
        @inlinable public static var attributes: UInt32 { 4 }
        @inlinable public static var droppedAttributesCount: UInt32 { 5 }
        @inlinable public static var flags: UInt32 { 6 }
    }

    /// `Status` of a span.
    public enum SpanStatus {
        @inlinable public static var message: UInt32 { 2 }
        @inlinable public static var code: UInt32 { 3 }
    }

    /// `LogRecord`.
    public enum LogRecord {
        @inlinable public static var time: UInt32 { 1 }
        @inlinable public static var severityNumber: UInt32 { 2 }
        @inlinable public static var severityText: UInt32 { 3 }
        @inlinable public static var body: UInt32 { 5 }
        @inlinable public static var attributes: UInt32 { 6 }
        @inlinable public static var droppedAttributesCount: UInt32 { 7 }
        @inlinable public static var flags: UInt32 { 8 }
        @inlinable public static var traceID: UInt32 { 9 }
        @inlinable public static var spanID: UInt32 { 10 }
        @inlinable public static var observedTime: UInt32 { 11 }
        @inlinable public static var eventName: UInt32 { 12 }
    }

    /// `Metric`; one of the five kinds is set.
    public enum Metric {
        @inlinable public static var name: UInt32 { 1 }
        @inlinable public static var description: UInt32 { 2 }
        @inlinable public static var unit: UInt32 { 3 }
        @inlinable public static var gauge: UInt32 { 5 }
        @inlinable public static var sum: UInt32 { 7 }
        @inlinable public static var histogram: UInt32 { 9 }
        @inlinable public static var exponentialHistogram: UInt32 { 10 }
        @inlinable public static var summary: UInt32 { 11 }
        @inlinable public static var metadata: UInt32 { 12 }
    }

    /// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram`, `Summary`.
    public enum MetricData {
        @inlinable public static var dataPoints: UInt32 { 1 }
        @inlinable public static var temporality: UInt32 { 2 }
        @inlinable public static var isMonotonic: UInt32 { 3 }
    }

    /// `NumberDataPoint` (of gauges and sums).
    public enum NumberPoint {
        @inlinable public static var startTime: UInt32 { 2 }
        @inlinable public static var time: UInt32 { 3 }
        @inlinable public static var asDouble: UInt32 { 4 }
        @inlinable public static var exemplars: UInt32 { 5 }
        @inlinable public static var asInt: UInt32 { 6 }
        @inlinable public static var attributes: UInt32 { 7 }
        @inlinable public static var flags: UInt32 { 8 }
    }

    /// `HistogramDataPoint`.
    public enum HistogramPoint {
        @inlinable public static var startTime: UInt32 { 2 }
        @inlinable public static var time: UInt32 { 3 }
        @inlinable public static var count: UInt32 { 4 }
        @inlinable public static var sum: UInt32 { 5 }
        @inlinable public static var bucketCounts: UInt32 { 6 }
        @inlinable public static var explicitBounds: UInt32 { 7 }
        @inlinable public static var exemplars: UInt32 { 8 }
        @inlinable public static var attributes: UInt32 { 9 }
        @inlinable public static var flags: UInt32 { 10 }
        @inlinable public static var min: UInt32 { 11 }
        @inlinable public static var max: UInt32 { 12 }
    }

    /// `ExponentialHistogramDataPoint`.
    public enum ExponentialPoint {
        @inlinable public static var attributes: UInt32 { 1 }
        @inlinable public static var startTime: UInt32 { 2 }
        @inlinable public static var time: UInt32 { 3 }
        @inlinable public static var count: UInt32 { 4 }
        @inlinable public static var sum: UInt32 { 5 }
        @inlinable public static var scale: UInt32 { 6 }
        @inlinable public static var zeroCount: UInt32 { 7 }
        @inlinable public static var positive: UInt32 { 8 }
        @inlinable public static var negative: UInt32 { 9 }
        @inlinable public static var flags: UInt32 { 10 }
        @inlinable public static var exemplars: UInt32 { 11 }
        @inlinable public static var min: UInt32 { 12 }
        @inlinable public static var max: UInt32 { 13 }
        @inlinable public static var zeroThreshold: UInt32 { 14 }
    }

    /// `ExponentialHistogramDataPoint.Buckets`.
    public enum Buckets {
        @inlinable public static var offset: UInt32 { 1 }
        @inlinable public static var bucketCounts: UInt32 { 2 }
    }

    /// `SummaryDataPoint`.
    public enum SummaryPoint {
        @inlinable public static var startTime: UInt32 { 2 }
        @inlinable public static var time: UInt32 { 3 }
        @inlinable public static var count: UInt32 { 4 }
        @inlinable public static var sum: UInt32 { 5 }
        @inlinable public static var quantileValues: UInt32 { 6 }
        @inlinable public static var attributes: UInt32 { 7 }
        @inlinable public static var flags: UInt32 { 8 }
    }

    /// `SummaryDataPoint.ValueAtQuantile`.
    public enum QuantileValue {
        @inlinable public static var quantile: UInt32 { 1 }
        @inlinable public static var value: UInt32 { 2 }
    }

    /// `Exemplar`.
    public enum Exemplar {
        @inlinable public static var time: UInt32 { 2 }
        @inlinable public static var asDouble: UInt32 { 3 }
        @inlinable public static var spanID: UInt32 { 4 }
        @inlinable public static var traceID: UInt32 { 5 }
        @inlinable public static var asInt: UInt32 { 6 }
        @inlinable public static var filteredAttributes: UInt32 { 7 }
    }
}
