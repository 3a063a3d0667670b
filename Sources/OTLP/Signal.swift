/// One of the three kinds of telemetry that OTLP carries here.
package enum Signal: UInt8, CaseIterable, Sendable {
    case traces
    case metrics
    case logs
}
