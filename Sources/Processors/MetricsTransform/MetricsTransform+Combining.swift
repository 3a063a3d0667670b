internal import MetricStreams
internal import OTLP
internal import Pipeline

extension MetricsTransform {
    /// What metrics that become one must have in common.
    private struct Shape {
        let name: String
        let kind: UInt32
        let unit: String
        let temporality: UInt64
        let isMonotonic: Bool
        let keys: Set<[UInt8]>

        init(_ metric: MessageID, _ request: RequestEditor) {
            name = request.content(metric, Field.Metric.name).text
            unit = request.content(metric, Field.Metric.unit).text
            kind = request.metricKind(metric) ?? 0
            var temporality: UInt64 = 0
            var isMonotonic = false
            if kind != 0 {
                let data = request.child(metric, kind)
                temporality = request.bits(data, Field.MetricData.temporality)
                isMonotonic = request.bits(data, Field.MetricData.isMonotonic) != 0
                request.close(data)
            }
            self.temporality = temporality
            self.isMonotonic = isMonotonic
            keys = Self.keys(metric, request)
        }

        private static func keys(_ metric: MessageID, _ request: RequestEditor) -> Set<[UInt8]> {
            var keys: Set<[UInt8]> = []
            request.forEachPoint(metric) { place in
                guard let fields = PointFields(place.kind) else { return .keep }
                let table = request.attributes(place.point, fields.attributes)
                for position in 0..<request.fieldCount(place.point)
                where request.number(place.point, at: position) == table.number {
                    keys.insert(request.key(table, at: position).array)
                }
                return .keep
            }
            return keys
        }

        func difference(from first: Shape) -> String? {
            if kind != first.kind { return "types" }
            if unit != first.unit { return "units" }
            if keys != first.keys { return "attributes" }
            if kind != Field.Metric.gauge, temporality != first.temporality {
                return "aggregation temporalities"
            }
            if kind == Field.Metric.sum, isMonotonic != first.isMonotonic { return "monotonicity" }
            return nil
        }
    }

    /// Why metrics cannot become one; nil when they can.
    func whyNotCombined(_ positions: [Int], of scope: ScopePlace, _ request: RequestEditor) -> String? {
        var first: Shape?
        for position in positions {
            let metric = request.child(scope.entry, at: position)
            let shape = Shape(metric, request)
            request.close(metric)
            if shape.kind == Field.Metric.summary {
                return "summary metrics cannot be combined: \(shape.name)"
            }
            if shape.kind == 0 { return "metrics without data cannot be combined: \(shape.name)" }
            guard let known = first else {
                first = shape
                continue
            }
            if let difference = shape.difference(from: known) {
                return "metrics cannot be combined as they have different \(difference): "
                    + "\(known.name) and \(shape.name)"
            }
        }
        return nil
    }

    /// Puts the points of metrics into a new one at the end, with the groups of the expression as attributes.
    func combine(_ positions: [Int], of scope: ScopePlace, by step: Step, _ request: RequestEditor) {
        let combined = request.appendChild(scope.entry, Field.ScopeEntry.entries)
        let newPosition = request.fieldCount(scope.entry) - 1
        request.setContent(combined, Field.Metric.name, step.newName.bytes)
        var data: (message: MessageID, kind: UInt32)?
        for position in positions {
            let metric = request.child(scope.entry, at: position)
            let target = data ?? startData(of: combined, like: metric, request)
            data = target
            movePoints(of: metric, to: target, by: step, request)
            request.close(metric)
            request.remove(scope.entry, at: position)
        }
        if let data { step.aggregation.merge(data.message, kind: data.kind, of: request, hasher) }
        let isLeft = change(combined, by: step, request)
        request.close(combined)
        if !isLeft { request.remove(scope.entry, at: newPosition) }
    }

    private func startData(
        of combined: MessageID, like metric: MessageID, _ request: RequestEditor
    ) -> (message: MessageID, kind: UInt32) {
        for number in [Field.Metric.description, Field.Metric.unit] where request.has(metric, number) {
            request.setContent(combined, number, request.content(metric, number))
        }
        let kind = request.metricKind(metric) ?? Field.Metric.gauge
        let source = request.child(metric, kind)
        let data = request.appendChild(combined, kind)
        for number in [Field.MetricData.temporality, Field.MetricData.isMonotonic] {
            request.setNumber(data, number, .varint, request.bits(source, number))
        }
        return (data, kind)
    }

    private func movePoints(
        of metric: MessageID, to data: (message: MessageID, kind: UInt32), by step: Step,
        _ request: RequestEditor
    ) {
        let name = request.content(metric, Field.Metric.name)
        let groups = step.matcher.groupAttributes(of: name, in: request)
        request.forEachPoint(metric) { place in
            guard step.matcher.matches(place, of: request), let fields = PointFields(place.kind)
            else { return .keep }
            request.append(data.message, Field.MetricData.dataPoints, request.content(place.point))
            guard !groups.isEmpty else { return .keep }
            let point = request.child(data.message, at: request.fieldCount(data.message) - 1)
            let attributes = request.attributes(point, fields.attributes)
            for group in groups { request.set(group.key, to: .string(group.value), in: attributes) }
            request.close(point)
            return .keep
        }
    }
}
