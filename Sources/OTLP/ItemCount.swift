/// Counts spans, data points or log records in what is known to be valid: looks at no more than tags and lengths around
/// them, where `summarize` reads every byte. Any thread; allocates nothing.
package enum ItemCount {
    /// Of an `Export*ServiceRequest`.
    package static func request(_ message: WireBytes, _ signal: Signal) -> Int {
        var count = 0
        for field in message.fields where field.number == Field.Request.resources {
            count += resource(field.bytes, signal)
        }
        return count
    }

    /// Of a `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    package static func resource(_ message: WireBytes, _ signal: Signal) -> Int {
        var count = 0
        for field in message.fields where field.number == Field.ResourceEntry.scopes {
            count += scope(field.bytes, signal)
        }
        return count
    }

    /// Of a `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
    package static func scope(_ message: WireBytes, _ signal: Signal) -> Int {
        var count = 0
        for field in message.fields where field.number == Field.ScopeEntry.entries {
            count += item(field.bytes, signal)
        }
        return count
    }

    /// Of a span, a log record or a metric.
    package static func item(_ message: WireBytes, _ signal: Signal) -> Int {
        guard signal == .metrics else { return 1 }
        var count = 0
        for field in message.fields {
            switch field.number {
            case Field.Metric.gauge, Field.Metric.sum, Field.Metric.histogram,
                Field.Metric.exponentialHistogram,
                Field.Metric.summary:
                for point in field.bytes.fields where point.number == Field.MetricData.dataPoints {
                    count += 1
                }
            default: break
            }
        }
        return count
    }
}
