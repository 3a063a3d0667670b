internal import ItemMatching
internal import OTLP
package import Pipeline
internal import Statements

extension FilterConfig: ComponentConfig {}

extension ComponentType {
    /// `filter`.
    package static let filter = processor("filter", stability: .beta, FilterConfig.self) {
        EditingProcessor(try FilterProcessor($0, $1), $1, next: $2)
    }
}

/// Drops what a condition holds for: `filter`. Any thread.
final class FilterProcessor: RequestTransform {
    private struct Rule {
        let condition: Condition
        let errorMode: StatementGroup.ErrorMode
        /// Among all rules.
        let index: Int
    }

    /// The rules of one level.
    private struct Rules {
        let all: [Rule]
        let conditions: ConditionList

        init(_ rules: [Rule]) {
            all = rules
            conditions = .of(rules.map(\.condition))
        }

        var isEmpty: Bool { all.isEmpty }
    }

    private let signal: Signal
    /// By the level at which they are asked.
    private let resourceRules: Rules
    private let scopeRules: Rules
    private let itemRules: Rules
    /// On span events and data points.
    private let partRules: Rules
    private let include: OldestForm.Matcher?
    private let exclude: OldestForm.Matcher?
    private let metricResources: OldestForm.MetricResources
    private let expressions: MetricExpressions
    private let errors: StatementErrors
    private let counts: FilterCounts
    private let usesClient: Bool
    let largeBytes: Int

    init(_ config: FilterConfig, _ context: ComponentContext) throws {
        signal = context.signal
        let rules = (config.rules[signal] ?? []).enumerated().map {
            Rule(condition: $1.condition, errorMode: $1.errorMode, index: $0)
        }
        func asked(_ contexts: ContextKind...) -> Rules {
            Rules(rules.filter { contexts.contains($0.condition.context) })
        }
        resourceRules = asked(.resource)
        scopeRules = asked(.scope)
        itemRules = asked(.span, .metric, .log)
        partRules = asked(.spanevent, .datapoint, .exemplar)
        let selection = config.selections[signal]
        func matcher(_ config: MatchConfig?) throws -> OldestForm.Matcher? {
            guard let config, context.signal != .metrics || !config.metricNames.isEmpty else { return nil }
            return try OldestForm.Matcher(config, context.signal)
        }
        include = try matcher(selection?.include)
        exclude = try matcher(selection?.exclude)
        metricResources = try OldestForm.MetricResources(context.signal == .metrics ? selection : nil)
        expressions = context.signal == .metrics ? config.expressions : MetricExpressions()
        let texts = rules.map(\.condition.text)
        errors = StatementErrors(texts, context)
        counts = FilterCounts(texts, context)
        largeBytes = StatementGroup.largeBytes(texts)
        usesClient = texts.contains { $0.contains("otelcol") }
    }

    private var selects: Bool { include != nil || exclude != nil || !expressions.isEmpty }

    func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        let frame = Frame(request)
        if usesClient {
            frame.client = ClientFacts(
                address: context.client?.host,
                fields: context.metadata?.fields.map { ($0.name, $0.value) } ?? [])
        }
        let asksScopes = !scopeRules.isEmpty
        let asksItems = selects || !itemRules.isEmpty || !partRules.isEmpty
        try request.forEachResource { resource throws(Refusal) in
            frame.show(resource)
            if metricResources.drops(resource.resource, of: request) {
                counts.selected(ItemCount.resource(request.content(resource.entry), signal))
                return .remove
            }
            if try drops(
                resourceRules, frame, { ItemCount.resource(request.content(resource.entry), signal) })
            {
                return .remove
            }
            guard asksScopes || asksItems else { return .keep }
            try request.forEachScope(of: resource) { scope throws(Refusal) in
                frame.show(scope)
                if try drops(scopeRules, frame, { ItemCount.scope(request.content(scope.entry), signal) }) {
                    return .remove
                }
                guard asksItems else { return .keep }
                try filterItems(scope, frame, request)
                return request.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return request.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    private func filterItems(_ scope: ScopePlace, _ frame: Frame, _ request: RequestEditor) throws(Refusal) {
        let asks = Selection(include, exclude, scope, request)
        try request.forEachItem(of: scope) { place throws(Refusal) in
            let item = place.item
            if asks.drops(item) {
                counts.selected(ItemCount.item(request.content(item), signal))
                return .remove
            }
            frame.show(item: item)
            if !expressions.isEmpty, expressions.drops(item, frame, request) {
                counts.selected(ItemCount.item(request.content(item), signal))
                return .remove
            }
            if try drops(itemRules, frame, { ItemCount.item(request.content(item), signal) }) {
                return .remove
            }
            guard !partRules.isEmpty else { return .keep }
            switch signal {
            case .traces:
                try filterParts(item, Field.Span.events, frame, request)
            case .metrics:
                guard let kind = request.metricKind(item) else { return .keep }
                let data = request.child(item, kind)
                try filterParts(data, Field.MetricData.dataPoints, frame, request)
                return request.count(data, Field.MetricData.dataPoints) == 0 ? .remove : .keep
            case .logs: break
            }
            return .keep
        }
    }

    private func filterParts(
        _ parent: MessageID, _ number: UInt32, _ frame: Frame, _ request: RequestEditor
    ) throws(Refusal) {
        var index = 0
        try request.forEachChild(parent, number) { part throws(Refusal) in
            frame.show(part: part, at: index)
            index += 1
            return try drops(partRules, frame, { signal == .metrics ? 1 : 0 }) ? .remove : .keep
        }
    }

    /// Whether any rule holds; one that fails does not, unless errors propagate.
    @inline(__always)
    private func drops(_ rules: Rules, _ frame: Frame, _ items: () -> Int) throws(Refusal) -> Bool {
        var refusal: Refusal?
        let found = rules.conditions.search(frame) { index, error in
            refusal = failed(rules.all[index], error)
            return refusal != nil
        }
        if let refusal { throw refusal }
        guard let found else { return false }
        counts.dropped(items(), by: rules.all[found].index)
        return true
    }

    /// Why the request is refused for a condition that cannot be answered; nil: it is not.
    private func failed(_ rule: Rule, _ error: EvaluationError) -> Refusal? {
        errors.record(
            rule.index, error.description,
            message: rule.errorMode == .ignore ? "failed to eval condition" : nil)
        guard rule.errorMode == .propagate else { return nil }
        return Refusal(
            .unavailable, "failed to eval condition: \(rule.condition.text), \(error.description)",
            retryAfterSeconds: nil)
    }
}

/// The oldest form, asked of one scope.
private struct Selection {
    private let include: OldestForm.Matcher?
    private let exclude: OldestForm.Matcher?
    private let includesNone: Bool
    private let request: RequestEditor

    init(
        _ include: OldestForm.Matcher?, _ exclude: OldestForm.Matcher?, _ scope: ScopePlace,
        _ request: RequestEditor
    ) {
        func matches(_ matcher: OldestForm.Matcher?) -> Bool { matcher?.matches(scope, of: request) ?? false }
        includesNone = include != nil && !matches(include)
        self.include = include
        self.exclude = matches(exclude) ? exclude : nil
        self.request = request
    }

    func drops(_ item: MessageID) -> Bool {
        if includesNone { return true }
        if let include, !include.matches(item: item, of: request) { return true }
        return exclude?.matches(item: item, of: request) ?? false
    }
}
