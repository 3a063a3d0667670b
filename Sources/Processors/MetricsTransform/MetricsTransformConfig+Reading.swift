internal import Configuration
internal import MetricStreams
internal import RegularExpression

extension MetricsTransformConfig.Transform {
    /// Reads one of `transforms`.
    init(_ section: ConfigSection) {
        include = section.string("include", default: "")
        let isExpression = Self.readsExpressions(section)
        let words = section.stringMap("experimental_match_labels")
        let action = section.optionalString("action")
        newName = section.string("new_name", default: "")
        let aggregation = section.optionalString("aggregation_type")
        let submatchCase = section.optionalString("submatch_case")
        let hasGroupLabels = section.has("group_resource_labels")
        groupLabels = section.stringMap("group_resource_labels")
        operations = (section.sectionList("operations") ?? []).enumerated().compactMap {
            MetricsTransformConfig.Operation.read($1, number: $0 + 1)
        }

        if include.isEmpty, !section.isBroken("include") {
            section.report(nil, error: "missing required field \"include\"", help: "write include: METRIC")
        }
        if isExpression { expression = section.expression("include", include) }
        labels = words.map { pair in
            let expression =
                isExpression ? section.expression("experimental_match_labels", pair.value) : nil
            return .init(key: pair.name, value: pair.value, expression: expression)
        }
        if let known = action.flatMap(MetricsTransformConfig.Action.init(rawValue:)) {
            self.action = known
            checkAction(section, aggregation, hasGroupLabels)
        } else if !section.isBroken("action") {
            let all = MetricsTransformWords.list(MetricsTransformConfig.Action.allCases.map(\.rawValue))
            section.report(
                section.has("action") ? "action" : nil, error: "\"action\" must be in \(all)",
                help: "write action: update")
        }
        self.aggregation = section.aggregation(aggregation)
        if let submatchCase, !["", "lower", "upper"].contains(submatchCase) {
            section.report("submatch_case", error: "\"submatch_case\" must be in [\"lower\" \"upper\"]")
        } else {
            section.withoutEffect("submatch_case", "as in the Collector, which checks it only")
        }
    }

    private static func readsExpressions(_ section: ConfigSection) -> Bool {
        let word = section.string("match_type", default: "strict")
        if !["", "strict", "regexp"].contains(word) {
            section.report("match_type", error: "\"match_type\" must be in [\"strict\" \"regexp\"]")
        }
        return word == "regexp"
    }

    private func checkAction(_ section: ConfigSection, _ aggregation: String?, _ hasGroupLabels: Bool) {
        func require(_ key: String, _ isThere: Bool) {
            guard !isThere, !section.isBroken(key) else { return }
            section.report(
                "action", error: "missing required field \"\(key)\" while \"action\" is \(action.rawValue)",
                help: "add \(key)")
        }
        switch action {
        case .insert: require("new_name", !newName.isEmpty)
        case .combine:
            require("new_name", !newName.isEmpty)
            require("aggregation_type", !(aggregation ?? "").isEmpty)
        case .group: require("group_resource_labels", hasGroupLabels)
        case .update: break
        }
    }
}

extension MetricsTransformConfig.Operation {
    private static let actions = [
        "add_label", "update_label", "delete_label_value", "toggle_scalar_data_type",
        "experimental_scale_value", "aggregate_labels", "aggregate_label_values",
    ]

    /// Reads one of `operations`; nil, and reported, when it makes no sense.
    static func read(_ section: ConfigSection, number: Int) -> MetricsTransformConfig.Operation? {
        let action = section.string("action", default: "")
        let label = section.string("label", default: "")
        let newLabel = section.string("new_label", default: "")
        let newValue = section.string("new_value", default: "")
        let labelValue = section.string("label_value", default: "")
        let labelSet = section.stringList("label_set")
        let aggregatedValues = section.stringList("aggregated_values")
        let scale = section.double("experimental_scale", default: 0, in: -Double.infinity...Double.infinity)
        let word = section.optionalString("aggregation_type")
        let values = (section.sectionList("value_actions") ?? []).map { action in
            ConfigPair(action.string("value", default: ""), action.string("new_value", default: ""))
        }
        func require(_ key: String, _ isThere: Bool) {
            guard !isThere, !section.isBroken(key) else { return }
            section.report(
                "action",
                error: "operation \(number): missing required field \"\(key)\" while \"action\" is \(action)",
                help: "add \(key)")
        }
        let aggregation = section.aggregation(word, "operation \(number): ")
        switch action {
        case "add_label":
            require("new_label", !newLabel.isEmpty)
            require("new_value", !newValue.isEmpty)
            return .addLabel(key: newLabel, value: newValue)
        case "update_label":
            require("label", !label.isEmpty)
            return .updateLabel(key: label, newKey: newLabel, values: values)
        case "delete_label_value":
            require("label", !label.isEmpty)
            return .deleteLabelValue(key: label, value: labelValue)
        case "toggle_scalar_data_type": return .toggleScalarDataType
        case "experimental_scale_value":
            require("experimental_scale", scale != 0)
            return .scaleValue(scale)
        case "aggregate_labels":
            require("aggregation_type", !(word ?? "").isEmpty)
            return .aggregateLabels(labelSet, aggregation ?? .sum)
        case "aggregate_label_values":
            require("aggregation_type", !(word ?? "").isEmpty)
            return .aggregateLabelValues(
                key: label, values: aggregatedValues, newValue: newValue, aggregation ?? .sum)
        default:
            guard !section.isBroken("action") else { return nil }
            section.report(
                section.has("action") ? "action" : nil,
                error: "operation \(number): \"action\" must be in \(MetricsTransformWords.list(actions))")
            return nil
        }
    }
}

extension ConfigSection {
    fileprivate func expression(_ key: String, _ text: String) -> RegularExpression? {
        do {
            return try RegularExpression(text, dotMatchesLineFeed: false)
        } catch {
            report(key, error: "\"\(key)\", \(error)")
            return nil
        }
    }

    fileprivate func aggregation(_ word: String?, _ prefix: String = "") -> PointAggregation? {
        guard let word, !word.isEmpty else { return nil }
        if let known = PointAggregation(rawValue: word) { return known }
        let all = MetricsTransformWords.list(MetricsTransformWords.aggregations)
        report("aggregation_type", error: "\(prefix)\"aggregation_type\" must be in \(all)")
        return nil
    }
}
