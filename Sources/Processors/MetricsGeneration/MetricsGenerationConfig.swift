package import Configuration
internal import Pipeline

/// The keys of the `metricsgeneration` processor.
package struct MetricsGenerationConfig: ComponentConfig {
    /// What a value is made of.
    package enum Operation: String, CaseIterable, Sendable {
        case add
        case divide
        case multiply
        case percent
        case subtract
    }

    /// The second operand.
    package enum Operand: Sendable, Equatable {
        /// The first value of a metric of the same resource. Key `metric2`, with `type: calculate`.
        case metric(String)
        /// Key `scale_by`, with `type: scale`.
        case number(Double)
    }

    /// A metric to make.
    package struct Rule: Sendable, Equatable {
        /// Required. Key `name`.
        package var name = ""
        /// Key `unit`.
        package var unit = ""
        /// The first operand, required. Key `metric1`.
        package var metric = ""
        package var operand = Operand.number(1)
        /// nil makes nothing. Key `operation`.
        package var operation: Operation?
    }

    /// Key `rules`.
    package var rules: [Rule] = []

    package init(_ section: ConfigSection) {
        rules = (section.sectionList("rules") ?? []).map(Rule.init)
        section.finish()
    }
}

extension MetricsGenerationConfig.Rule {
    fileprivate init(_ section: ConfigSection) {
        name = section.string("name", default: "")
        unit = section.string("unit", default: "")
        let type = section.string("type", default: "")
        metric = section.string("metric1", default: "")
        let metric2 = section.string("metric2", default: "")
        let scale = section.double("scale_by", default: 0, in: -Double.infinity...Double.infinity)
        let word = section.string("operation", default: "")
        func require(_ key: String, _ value: String) {
            guard value.isEmpty, !section.isBroken(key) else { return }
            section.report(nil, error: "missing required field \"\(key)\"")
        }
        require("name", name)
        require("type", type)
        require("metric1", metric)
        switch type {
        case "calculate":
            operand = .metric(metric2)
            if metric2.isEmpty, !section.isBroken("metric2") {
                section.report(
                    "type", error: "missing required field \"metric2\" for generation type \"calculate\"")
            }
        case "scale":
            operand = .number(scale)
            if scale <= 0, !section.isBroken("scale_by") {
                section.report(
                    section.has("scale_by") ? "scale_by" : nil,
                    error: "field \"scale_by\" required to be greater than 0 for generation type \"scale\"")
            }
        case "": break
        default: section.report("type", error: "\"type\" must be in [\"calculate\" \"scale\"]")
        }
        operation = MetricsGenerationConfig.Operation(rawValue: word)
        if operation == nil, !section.isBroken("operation") {
            let words = MetricsGenerationConfig.Operation.allCases.map { "\"\($0.rawValue)\"" }
            if word.isEmpty {
                section.report(
                    nil, warning: "a rule without an operation makes nothing", help: "write operation: add")
            } else {
                section.report(
                    "operation", error: "\"operation\" must be in [\(words.joined(separator: " "))]")
            }
        }
        for (key, value) in [("metric1", metric), ("metric2", metric2)] where !name.isEmpty && name == value {
            section.report(
                "name", error: "value of field \"name\" may not match value of field \"\(key)\"")
        }
    }
}
