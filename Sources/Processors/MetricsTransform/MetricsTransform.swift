internal import Configuration
internal import Logging
internal import MetricStreams
internal import OTLP
package import Pipeline
import Synchronization

extension ComponentType {
    /// `metricstransform`.
    package static let metricsTransform = processor(
        "metricstransform", aliases: ["metrics_transform"], signals: [.metrics], MetricsTransformConfig.self
    ) {
        EditingProcessor(MetricsTransform($0, $1), $1, next: $2, dropReason: .merged)
    }
}

/// Renames, copies, combines, groups and aggregates metrics: `metricstransform`. Any thread.
final class MetricsTransform: RequestTransform {
    struct Step: Sendable {
        let number: Int
        let action: MetricsTransformConfig.Action
        let matcher: MetricMatcher
        let newName: KeptText
        let aggregation: PointAggregation
        let groupLabels: [(key: KeptText, value: KeptText)]
        let operations: [MetricOperation]
    }

    private let steps: [Step]
    private let logger: Logger
    let hasher = StreamHasher()
    /// Steps whose metrics could not be combined, each told once.
    private let told = Mutex<Set<Int>>([])

    init(_ config: MetricsTransformConfig, _ context: ComponentContext) {
        logger = context.logger
        let version = context.gateway.version
        steps = config.transforms.enumerated().map { index, transform in
            Step(
                number: index, action: transform.action, matcher: MetricMatcher(transform),
                newName: KeptText(transform.newName), aggregation: transform.aggregation ?? .sum,
                groupLabels: transform.groupLabels.map { (KeptText($0.name), KeptText($0.value)) },
                operations: transform.operations.map { MetricOperation($0, version: version) })
        }
    }

    func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        request.forEachResource { resource in
            request.forEachScope(of: resource) { scope in
                for step in steps { run(step, scope, request) }
                return request.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return request.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    private func run(_ step: Step, _ scope: ScopePlace, _ request: RequestEditor) {
        let positions = matched(step, scope, request)
        guard !positions.isEmpty else { return }
        switch step.action {
        case .update:
            for position in positions {
                let metric = request.child(scope.entry, at: position)
                let isLeft = change(metric, by: step, request)
                request.close(metric)
                if !isLeft { request.remove(scope.entry, at: position) }
            }
        case .insert:
            for position in positions {
                let content = request.content(scope.entry, at: position)
                insertCopy(content, in: scope.entry, by: step, request) { change($0, by: step, request) }
            }
        case .group: group(positions, of: scope, by: step, request)
        case .combine:
            if let reason = whyNotCombined(positions, of: scope, request) {
                tell(reason, of: step)
            } else {
                combine(positions, of: scope, by: step, request)
            }
        }
    }

    /// The positions of the metrics that a step is about: by name, and at least one point has the attributes.
    private func matched(_ step: Step, _ scope: ScopePlace, _ request: RequestEditor) -> [Int] {
        var positions: [Int] = []
        for position in 0..<request.fieldCount(scope.entry)
        where request.number(scope.entry, at: position) == Field.ScopeEntry.entries {
            guard step.matcher.matches(name: Self.name(request.content(scope.entry, at: position)))
            else { continue }
            if step.matcher.hasLabels {
                let metric = request.child(scope.entry, at: position)
                let count = matchedPoints(of: metric, step.matcher, request)
                request.close(metric)
                guard count.matched > 0 || count.all == 0 else { continue }
            }
            positions.append(position)
        }
        return positions
    }

    /// The name of a metric that is not open.
    private static func name(_ metric: WireBytes) -> WireBytes {
        var name = WireBytes.none
        for field in metric.fields where field.number == Field.Metric.name { name = field.bytes }
        return name
    }

    private func matchedPoints(
        of metric: MessageID, _ matcher: MetricMatcher, _ request: RequestEditor
    ) -> (matched: Int, all: Int) {
        var matched = 0
        var all = 0
        request.forEachPoint(metric) { place in
            all += 1
            if matcher.matches(place, of: request) { matched += 1 }
            return .keep
        }
        return (matched, all)
    }

    /// Renames a metric and runs the operations on it. With `update`, most of this needs all of its points to match.
    /// - Returns: false when it had points and has none any more.
    func change(_ metric: MessageID, by step: Step, _ request: RequestEditor) -> Bool {
        let count = matchedPoints(of: metric, step.matcher, request)
        let isWhole = step.action != .update || count.matched == count.all
        let name = request.content(metric, Field.Metric.name)
        if isWhole, let newName = step.matcher.newName(for: name, in: request) {
            request.setContent(metric, Field.Metric.name, newName)
        }
        for operation in step.operations where isWhole || !operation.needsWholeMetric {
            operation.apply(to: metric, step.matcher, request, hasher)
        }
        return count.all == 0 || matchedPoints(of: metric, step.matcher, request).all > 0
    }

    /// Adds a copy of a metric, without the points that do not match, unless nothing is left of it.
    private func insertCopy(
        _ content: WireBytes, in entry: MessageID, by step: Step, _ request: RequestEditor,
        _ change: (MessageID) -> Bool
    ) {
        request.append(entry, Field.ScopeEntry.entries, content)
        let position = request.fieldCount(entry) - 1
        let metric = request.child(entry, at: position)
        keepMatchedPoints(of: metric, step.matcher, request)
        let isLeft = change(metric)
        request.close(metric)
        if !isLeft { request.remove(entry, at: position) }
    }

    private func keepMatchedPoints(of metric: MessageID, _ matcher: MetricMatcher, _ request: RequestEditor) {
        guard matcher.hasLabels else { return }
        request.forEachPoint(metric) { matcher.matches($0, of: request) ? .keep : .remove }
    }

    private func group(
        _ positions: [Int], of scope: ScopePlace, by step: Step, _ request: RequestEditor
    ) {
        let entry = request.appendChild(request.root, Field.Request.resources)
        let resource = request.content(scope.resource.resource)
        request.append(entry, Field.ResourceEntry.resource, resource)
        let newResource = request.child(entry, Field.ResourceEntry.resource)
        let attributes = request.attributes(newResource, Field.Resource.attributes)
        for (key, value) in step.groupLabels {
            request.set(key.bytes, to: .string(value.bytes), in: attributes)
        }
        request.close(newResource)
        let newScope = request.appendChild(entry, Field.ResourceEntry.scopes)
        request.append(newScope, Field.ScopeEntry.scope, request.content(scope.scope))
        for position in positions {
            let content = request.content(scope.entry, at: position)
            insertCopy(content, in: newScope, by: step, request) { _ in true }
            request.remove(scope.entry, at: position)
        }
        request.close(newScope)
        request.close(entry)
    }

    private func tell(_ reason: String, of step: Step) {
        let isNew = told.withLock { $0.insert(step.number).inserted }
        if isNew { logger.warning("\(reason); told once for transforms::\(step.number)") }
    }
}

extension MetricMatcher {
    func matches(_ place: PointPlace, of request: RequestEditor) -> Bool {
        guard hasLabels, let fields = PointFields(place.kind) else { return true }
        return matches(request.attributes(place.point, fields.attributes), of: request)
    }
}
