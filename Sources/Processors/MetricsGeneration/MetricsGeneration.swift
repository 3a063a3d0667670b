internal import Configuration
internal import MetricStreams
internal import OTLP
package import Pipeline

extension ComponentType {
    /// `metricsgeneration`.
    package static let metricsGeneration = processor(
        "metricsgeneration",
        aliases: ["metrics_generation", "experimental_metricsgeneration"], signals: [.metrics],
        MetricsGenerationConfig.self
    ) {
        EditingProcessor(MetricsGeneration($0), $1, next: $2)
    }
}

/// Makes metrics of others: `metricsgeneration`. Any thread.
final class MetricsGeneration: RequestTransform {
    private struct Rule: Sendable {
        let name: KeptText
        let unit: KeptText
        let metric: KeptText
        /// The second operand; nil for a number.
        let secondMetric: KeptText?
        let number: Double
        let operation: MetricsGenerationConfig.Operation
    }

    private let rules: [Rule]

    init(_ config: MetricsGenerationConfig) {
        rules = config.rules.compactMap { rule in
            guard let operation = rule.operation else { return nil }
            var secondMetric: KeptText?
            var number = 0.0
            switch rule.operand {
            case .metric(let name): secondMetric = KeptText(name)
            case .number(let value): number = value
            }
            return Rule(
                name: KeptText(rule.name), unit: KeptText(rule.unit), metric: KeptText(rule.metric),
                secondMetric: secondMetric, number: number, operation: operation)
        }
    }

    func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        request.forEachResource { resource in
            for (rule, number) in operands(resource, request) {
                request.forEachScope(of: resource) { scope in
                    run(rule, number, scope, request)
                    return .keep
                }
            }
            return .keep
        }
    }

    /// The rules whose operands this resource has, with the value of the second one.
    private func operands(
        _ resource: ResourcePlace, _ request: RequestEditor
    ) -> [(rule: Rule, number: Double)] {
        var hasFirst = [Bool](repeating: false, count: rules.count)
        var numbers: [Double?] = rules.map { $0.secondMetric == nil ? $0.number : nil }
        request.forEachScope(of: resource) { scope in
            for position in 0..<request.fieldCount(scope.entry)
            where request.number(scope.entry, at: position) == Field.ScopeEntry.entries {
                let name = Self.name(request.content(scope.entry, at: position))
                for (index, rule) in rules.enumerated() {
                    if rule.metric.bytes.isEqual(to: name) { hasFirst[index] = true }
                    guard let second = rule.secondMetric, second.bytes.isEqual(to: name) else { continue }
                    // Of several metrics of the name the last counts.
                    numbers[index] = Self.firstValue(scope.entry, at: position, request)
                }
            }
            return .keep
        }
        return rules.indices.compactMap { index in
            guard hasFirst[index], let number = numbers[index] else { return nil }
            return (rules[index], number)
        }
    }

    private static func name(_ metric: WireBytes) -> WireBytes {
        var name = WireBytes.none
        for field in metric.fields where field.number == Field.Metric.name { name = field.bytes }
        return name
    }

    /// The value of the first point of a gauge or a sum; 0 for all else.
    private static func firstValue(_ entry: MessageID, at position: Int, _ request: RequestEditor) -> Double {
        let metric = request.child(entry, at: position)
        defer { request.close(metric) }
        var value: Double?
        request.forEachPoint(metric) { place in
            if value == nil, place.kind == Field.Metric.gauge || place.kind == Field.Metric.sum {
                value = NumberValue(request, place.point).double
            }
            return .keep
        }
        return value ?? 0
    }

    private func run(_ rule: Rule, _ second: Double, _ scope: ScopePlace, _ request: RequestEditor) {
        request.forEachItem(of: scope) { item in
            guard request.content(item.item, Field.Metric.name).isEqual(to: rule.metric.bytes),
                let kind = request.metricKind(item.item),
                kind == Field.Metric.gauge || kind == Field.Metric.sum
            else { return .keep }
            generate(rule, second, of: item.item, kind, in: scope.entry, request)
            return .keep
        }
    }

    /// Adds a metric of the same kind, without temporality, with a double for each point for which there is a result.
    private func generate(
        _ rule: Rule, _ second: Double, of metric: MessageID, _ kind: UInt32, in entry: MessageID,
        _ request: RequestEditor
    ) {
        guard second != 0 || (rule.operation != .divide && rule.operation != .percent) else { return }
        let source = request.child(metric, kind)
        guard request.count(source, Field.MetricData.dataPoints) > 0 else { return request.close(source) }
        let made = request.appendChild(entry, Field.ScopeEntry.entries)
        request.setContent(made, Field.Metric.name, rule.name.bytes)
        if !rule.unit.text.isEmpty { request.setContent(made, Field.Metric.unit, rule.unit.bytes) }
        let data = request.appendChild(made, kind)
        for position in 0..<request.fieldCount(source)
        where request.number(source, at: position) == Field.MetricData.dataPoints {
            request.append(data, Field.MetricData.dataPoints, request.content(source, at: position))
            let point = request.child(data, at: request.fieldCount(data) - 1)
            let value = rule.operation.result(NumberValue(request, point).double, second)
            NumberValue.double(value).write(to: request, point)
            request.close(point)
        }
        request.close(data)
        request.close(made)
        request.close(source)
    }
}

extension MetricsGenerationConfig.Operation {
    fileprivate func result(_ first: Double, _ second: Double) -> Double {
        switch self {
        case .add: first + second
        case .subtract: first - second
        case .multiply: first * second
        case .divide: first / second
        case .percent: first / second * 100
        }
    }
}
