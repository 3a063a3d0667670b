package import Configuration
internal import MetricStreams
internal import OTLP
package import Pipeline

/// The keys of the `deltatorate` processor.
package struct DeltaToRateConfig: ComponentConfig {
    /// Names of sums. At least one. Key `metrics`.
    package var metrics: [String] = []

    package init(_ section: ConfigSection) {
        metrics = section.stringList("metrics")
        if metrics.isEmpty, !section.isBroken("metrics") {
            section.report(
                section.isWritten("metrics") ? "metrics" : nil, error: "metric names are missing",
                help: "write metrics: [NAME]")
        }
        section.finish()
    }
}

extension ComponentType {
    /// `deltatorate`.
    package static let deltaToRate = processor(
        "deltatorate", aliases: ["delta_to_rate"], signals: [.metrics], DeltaToRateConfig.self
    ) {
        EditingProcessor(DeltaToRate($0), $1, next: $2)
    }
}

/// Makes gauges of rates a second of sums of deltas: `deltatorate`. Any thread.
final class DeltaToRate: RequestTransform {
    private let names: [KeptText]
    let changesItems = false

    init(_ config: DeltaToRateConfig) {
        names = config.metrics.map(KeptText.init)
    }

    func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        request.forEachItem { item in
            let name = request.content(item.item, Field.Metric.name)
            guard names.contains(where: { $0.bytes.isEqual(to: name) }),
                request.metricKind(item.item) == Field.Metric.sum
            else { return .keep }
            convert(item.item, request)
            return .keep
        }
    }

    private func convert(_ metric: MessageID, _ request: RequestEditor) {
        let data = request.child(metric, Field.Metric.sum)
        guard request.bits(data, Field.MetricData.temporality) == Temporality.delta else {
            return request.close(data)
        }
        request.forEachChild(data, Field.MetricData.dataPoints) { point in
            let start = request.bits(point, Field.NumberPoint.startTime)
            let end = request.bits(point, Field.NumberPoint.time)
            // A rate of no time is 0, as in the Collector.
            let seconds = end > start ? Double(end - start) / 1e9 : 0
            let value = NumberValue(request, point).double
            NumberValue.double(seconds > 0 ? value / seconds : 0).write(to: request, point)
            return .keep
        }
        request.remove(data, Field.MetricData.temporality)
        request.remove(data, Field.MetricData.isMonotonic)
        let gauge = request.content(data)
        request.close(data)
        request.remove(metric, Field.Metric.sum)
        request.append(metric, Field.Metric.gauge, gauge)
    }
}
