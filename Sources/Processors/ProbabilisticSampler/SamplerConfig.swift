package import Configuration
package import OTLP
package import Pipeline

/// The keys of `probabilistic_sampler`.
package struct SamplerConfig: ComponentConfig {
    /// How the decision is made.
    package enum Mode: String, Sendable, CaseIterable {
        /// By a hash of the trace id.
        case hashSeed = "hash_seed"
        /// A share of what arrives.
        case proportional
        /// So that all items have the same probability behind it.
        case equalizing
    }

    /// What logs are sampled by.
    package enum AttributeSource: String, Sendable, CaseIterable {
        case traceID
        case record
    }

    /// Percent of the items that are kept; from 100 on all. Default 0. Key `sampling_percentage`.
    package var percentage: Float = 0
    /// Key `mode`.
    package var mode = Mode.hashSeed
    /// Gateways with different seeds decide differently. Default 0. Key `hash_seed`.
    package var seed: UInt32 = 0
    /// Whether items whose sampling information is not valid are dropped. Default true. Key `fail_closed`.
    package var failsClosed = true
    /// Significant hexadecimal digits of thresholds. Default 4. Key `sampling_precision`.
    package var precision = 4
    /// Logs: key `attribute_source`.
    package var source = AttributeSource.traceID
    /// Logs: the attribute to sample by. Key `from_attribute`.
    package var fromAttribute = ""
    /// Logs: the attribute that holds a percentage of its own. Key `sampling_priority`.
    package var priorityAttribute = ""

    package init(_ section: ConfigSection) {
        percentage = Self.percentage(section)
        if section.optionalString("mode") != "" { mode = section.choice("mode", default: .hashSeed) }
        seed = UInt32(section.int("hash_seed", default: 0, in: 0...Int(UInt32.max)))
        failsClosed = section.bool("fail_closed", default: failsClosed)
        precision = section.int("sampling_precision", default: precision, in: 0...Int.max)
        if precision == 0 {
            section.report(
                "sampling_precision", error: "invalid sampling precision: 0; must be between 1 and 14")
            precision = 4
        } else if precision > Threshold.digits {
            section.report(
                "sampling_precision", error: "sampling precision is too great, should be <= 14: \(precision)")
            precision = 4
        }
        source = section.choice("attribute_source", default: source)
        fromAttribute = section.string("from_attribute", default: "")
        priorityAttribute = section.string("sampling_priority", default: "")
        section.finish()
    }

    private static func percentage(_ section: ConfigSection) -> Float {
        let key = "sampling_percentage"
        let value = section.double(key, default: 0, in: -Double.infinity...Double.infinity)
        let percentage = Float(value)
        let text = section.has(key) ? "\(percentage)%" : "0%"
        if value < 0 {
            section.report(key, error: "sampling rate is negative: \(text)")
        } else if value.isNaN || percentage.isInfinite {
            section.report(key, error: "sampling rate is invalid: \(text)")
        } else if value != 0, Double(percentage) / 100 < Threshold.leastProbability {
            section.report(
                key, error: "sampling rate is too small: \(text)", help: "the least is 2^-56, 1.4e-15 %")
        } else {
            return percentage
        }
        return 0
    }

    package func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {
        guard !signals.contains(.logs) else { return }
        for key in ["attribute_source", "from_attribute", "sampling_priority"] where section.has(key) {
            section.report(key, warning: "has no effect: it is for logs, and no pipeline of logs uses this")
        }
    }
}

extension ComponentType {
    /// `probabilistic_sampler`.
    package static let probabilisticSampler = processor(
        "probabilistic_sampler", signals: [.traces, .logs], SamplerConfig.self
    ) { config, context, next in
        EditingProcessor(SamplerTransform(config, context), context, next: next, dropReason: .notSampled)
    }
}
