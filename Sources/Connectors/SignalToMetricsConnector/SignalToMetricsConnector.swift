internal import Configuration
internal import Logging
internal import MetricBuilding
internal import NIOCore
internal import OTLP
package import Pipeline
internal import Statements
import Synchronization

extension ComponentType {
    /// `signal_to_metrics`.
    package static let signalToMetrics = connector(
        "signal_to_metrics", aliases: ["signaltometrics"], stability: .alpha,
        pairs: Set(Signal.allCases.map { SignalPair($0, .metrics) }), SignalToMetricsConfig.self
    ) { SignalToMetricsConnector($0, $1, $2) }
}

/// Makes metrics of what statements say of the items of each request: `signal_to_metrics`. Any thread; holds nothing.
package final class SignalToMetricsConnector: Consumer, PipelineComponent {
    private let converter: RequestConverter<SignalMeter>

    package init(
        _ config: SignalToMetricsConfig, _ context: ComponentContext, _ outputs: [PipelineOutput],
        clock: @escaping @Sendable () -> Int64 = SystemClock.unixNanoseconds
    ) {
        let (signal, ledger) = (context.signal, context.ledger)
        let own = Self.own(context.gateway.resource)
        let reports = ErrorReports(context)
        converter = RequestConverter(context, outputs, to: .metrics) {
            SignalMeter(
                config.metrics[signal] ?? [], signal, own: own,
                propagates: config.errorMode == .propagate, ledger: ledger
            ) { if config.errorMode == .ignore { reports.add($0) } }
        } convert: { (meter, batch, allowance) throws(Refusal) in
            defer { meter.reset() }
            for slice in batch.slices {
                let bytes = slice.bytes
                var refusal: Refusal?
                unsafe bytes.withUnsafeReadableBytes { bytes in
                    do throws(Refusal) { unsafe try meter.add(WireBytes(bytes), allowance) } catch {
                        refusal = error
                    }
                }
                if let refusal { throw refusal }
            }
            var request = MetricRequest()
            meter.write(into: &request, now: UInt64(clamping: clock()))
            let points = request.points
            return points > 0 ? (request.finish(), points) : nil
        }
    }

    /// Which gateway wrote a metric, so that two of them do not write the same one.
    private static func own(_ resource: [(name: String, value: String)]) -> AttributeList {
        var list = AttributeList()
        for name in ["service.name", "service.namespace", "service.instance.id"] {
            guard let value = resource.first(where: { $0.name == name })?.value else { continue }
            list.add("signaltometrics." + name, value)
        }
        return list
    }

    package var input: PipelineInput { converter.input(of: self) }

    package func consume(_ batch: Batch) -> Refusal? { converter.consume(batch) }

    package func drop(_ batch: Batch, because refusal: Refusal) { converter.drop(batch, because: refusal) }
}

/// Errors on items, in a log that stays readable. Any thread.
private final class ErrorReports: Sendable {
    private let limiter = Mutex(LogLimiter())
    private let logger: Logger

    init(_ context: ComponentContext) { logger = context.logger }

    func add(_ message: String) {
        guard let unsaid = limiter.withLock({ $0.admit(message, at: .now()) }) else { return }
        logger.warning(
            "An item could not be measured.", metadata: ["error": "\(message)", "unsaid": "\(unsaid)"])
    }
}
