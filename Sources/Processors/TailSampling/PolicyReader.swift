internal import Configuration
internal import RegularExpression
internal import StatementConfiguration
internal import Statements

/// Reads policies. Problems go to the sections' diagnostics, in the Collector's words where it has some.
struct PolicyReader {
    /// Where a policy stands, which decides what it may be.
    enum Place {
        case top
        case inside
    }

    private let section: ConfigSection
    private let name: String

    /// A policy in a section of its own.
    static func read(_ section: ConfigSection, _ place: Place) -> PolicyConfig {
        let name = section.string("name", default: "")
        let reader = PolicyReader(section: section, name: name)
        guard let type = section.optionalString("type") else {
            if !section.isBroken("type") {
                section.report("type", error: "is missing: every policy needs a type")
            }
            return PolicyConfig(name, .invalid)
        }
        for other in Self.types where other != type && section.isWritten(other) {
            section.ignored(other, "the type of the policy is \(type)")
        }
        return PolicyConfig(name, reader.rule(type, place))
    }

    private static let types = [
        "always_sample", "latency", "numeric_attribute", "string_attribute", "boolean_attribute",
        "status_code", "probabilistic", "rate_limiting", "bytes_limiting", "span_count", "trace_state",
        "trace_flags", "ottl_condition", "and", "not", "drop", "composite",
    ]

    private func rule(_ type: String, _ place: Place) -> PolicyConfig.Rule {
        // The keys of a type stand in a section of its name; without one they have their defaults.
        let keys =
            section.section(type)
            ?? ConfigSection(
                yaml: "", path: section.path(of: type), diagnostics: section.diagnostics)
        switch type {
        case "always_sample": return .alwaysSample
        case "trace_flags": return .traceFlags
        case "latency":
            return .latency(
                thresholdMilliseconds: keys.int("threshold_ms", default: 0, in: Int.min...Int.max),
                upperMilliseconds: keys.int("upper_threshold_ms", default: 0, in: Int.min...Int.max))
        case "numeric_attribute": return numeric(keys)
        case "string_attribute": return text(keys)
        case "boolean_attribute":
            return .booleanAttribute(
                key: keys.string("key", default: ""), value: keys.bool("value", default: false),
                isInverted: inverts(keys))
        case "status_code": return status(keys)
        case "probabilistic":
            return .probabilistic(
                salt: keys.string("hash_salt", default: ""),
                percentage: keys.double(
                    "sampling_percentage", default: 0,
                    in: -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude))
        case "rate_limiting":
            let rate = keys.int("spans_per_second", default: 0)
            return .rateLimiting(spansPerSecond: rate, burst: burst(keys, rate))
        case "bytes_limiting":
            let rate = keys.int("bytes_per_second", default: 0)
            return .bytesLimiting(bytesPerSecond: rate, burst: burst(keys, rate))
        case "span_count":
            return .spanCount(
                least: keys.int("min_spans", default: 0, in: Int.min...Int.max),
                most: keys.int("max_spans", default: 0, in: Int.min...Int.max))
        case "trace_state":
            return .traceState(
                key: keys.string("key", default: ""), values: keys.stringList("values"))
        case "ottl_condition": return condition(keys)
        case "and": return .and(parts(keys, "and_sub_policy"))
        case "not": return not(keys)
        case "drop" where place == .top: return .drop(parts(keys, "drop_sub_policy"))
        case "composite" where place == .top: return composite(keys)
        default:
            section.report(
                "type", error: failure("unknown sampling policy type \(type)"),
                help: Self.types.contains(type)
                    ? "write it at the top, not inside of another policy"
                    : nearest(type, in: Self.types).map { "did you mean \"\($0)\"?" }
                        ?? "write one of \(Self.types.joined(separator: ", "))")
            return .invalid
        }
    }

    private func failure(_ reason: String) -> String {
        "failed to create policy evaluator for \"\(name)\": \(reason)"
    }

    private func inverts(_ keys: ConfigSection) -> Bool {
        guard keys.bool("invert_match", default: false) else { return false }
        keys.report(
            "invert_match",
            warning:
                "samples traces without such a value, and keeps nothing from being sampled by other policies",
            help: "use a policy of type drop to keep traces out whatever other policies say")
        return true
    }

    private func burst(_ keys: ConfigSection, _ rate: Int) -> Int {
        let burst = keys.int("burst_capacity", default: 0)
        return burst > 0 ? burst : rate.multipliedReportingOverflow(by: 2).overflow ? rate : rate * 2
    }

    private func numeric(_ keys: ConfigSection) -> PolicyConfig.Rule {
        let least = keys.int("min_value", default: 0, in: Int.min...Int.max)
        let most = keys.int("max_value", default: 0, in: Int.min...Int.max)
        let key = keys.string("key", default: "")
        let isInverted = inverts(keys)
        guard least != 0 || most != 0 else {
            section.report(
                "numeric_attribute", error: failure("neither min_value nor max_value is set"),
                help: "a value of 0 counts as not set; use a range such as min_value: 1")
            return .invalid
        }
        let bounds = (least == 0 ? Int64.min : Int64(least), most == 0 ? Int64.max : Int64(most))
        guard bounds.0 <= bounds.1 else {
            section.report(
                "numeric_attribute",
                warning: "min_value \(least) is above max_value \(most): no value lies between them")
            return .numericAttribute(key: key, range: nil, isInverted: isInverted)
        }
        return .numericAttribute(key: key, range: bounds.0...bounds.1, isInverted: isInverted)
    }

    private func text(_ keys: ConfigSection) -> PolicyConfig.Rule {
        let key = keys.string("key", default: "")
        let values = keys.stringList("values")
        let isPattern = keys.bool("enabled_regex_matching", default: false)
        let isInverted = inverts(keys)
        // Matching takes linear time without a cache.
        _ = keys.int("cache_max_size", default: 0, in: Int.min...Int.max)
        keys.withoutEffect("cache_max_size", "matches are found without a cache")
        guard isPattern else { return .stringAttribute(key: key, values: values, isInverted: isInverted) }
        var patterns: [RegularExpression] = []
        for value in values {
            do {
                patterns.append(try RegularExpression(value))
            } catch {
                keys.report("values", error: failure("invalid regex `\(value)`: \(error)"))
                return .invalid
            }
        }
        return .pattern(key: key, values: patterns, isInverted: isInverted)
    }

    private func status(_ keys: ConfigSection) -> PolicyConfig.Rule {
        let words = keys.stringList("status_codes")
        guard !words.isEmpty else {
            section.report(
                "status_code", error: failure("expected at least one status code to filter on"))
            return .invalid
        }
        var codes: Set<UInt64> = []
        for word in words {
            guard let code = ["UNSET", "OK", "ERROR"].firstIndex(of: word) else {
                keys.report(
                    "status_codes",
                    error: failure("unknown status code \"\(word)\", supported: OK, ERROR, UNSET"))
                return .invalid
            }
            codes.insert(UInt64(code))
        }
        return .statusCode(codes)
    }

    private func condition(_ keys: ConfigSection) -> PolicyConfig.Rule {
        let mode = keys.errorMode("error_mode", default: .ignore)
        let spans = keys.locatedTexts("span") ?? []
        let events = keys.locatedTexts("spanevent") ?? []
        guard !spans.isEmpty || !events.isEmpty else {
            section.report(
                "ottl_condition", error: failure("expected at least one OTTL condition to filter on"))
            return .invalid
        }
        func parse(_ texts: [LocatedText], _ context: ContextKind) -> [Condition] {
            texts.compactMap { text in
                do throws(StatementError) {
                    return try Condition(text.text, for: context)
                } catch {
                    keys.report(error, of: "condition", in: text)
                    return nil
                }
            }
        }
        let config = ConditionConfig(
            span: parse(spans, .span), spanEvent: parse(events, .spanevent),
            propagatesErrors: mode == .propagate)
        guard config.span.count == spans.count, config.spanEvent.count == events.count else {
            return .invalid
        }
        return .condition(config)
    }

    private func not(_ keys: ConfigSection) -> PolicyConfig.Rule {
        guard let part = keys.section("not_sub_policy") else {
            section.report("not", error: failure("not_sub_policy is missing"))
            return .invalid
        }
        return .not(Self.read(part, .inside))
    }

    private func parts(_ keys: ConfigSection, _ key: String) -> [PolicyConfig] {
        (keys.sectionList(key) ?? []).map { Self.read($0, .inside) }
    }

    private func composite(_ keys: ConfigSection) -> PolicyConfig.Rule {
        let most = keys.int("max_total_spans_per_second", default: 0)
        let parts = parts(keys, "composite_sub_policy")
        let order = keys.stringList("policy_order")
        if !order.isEmpty, order != parts.map(\.name) {
            keys.report(
                "policy_order",
                warning: "has no effect: policies are asked in the order of composite_sub_policy")
        }
        var shares: [String: Int] = [:]
        for allocation in keys.sectionList("rate_allocation") ?? [] {
            let policy = allocation.string("policy", default: "")
            let percent = allocation.int("percent", default: 0, in: Int.min...Int.max)
            if !parts.contains(where: { $0.name == policy }) {
                allocation.report(
                    "policy", warning: "names no policy of composite_sub_policy: \"\(policy)\"")
            }
            let share =
                percent > 0
                ? Double(percent) / 100 * Double(most) : Double(most) / Double(max(1, parts.count))
            shares[policy] = share < Double(Int.max) ? Int(share) : .max
        }
        for part in parts where shares[part.name] == nil {
            keys.report(
                "rate_allocation",
                warning: "has nothing for policy \"\(part.name)\", which can sample no span then")
        }
        return .composite(parts, shares: parts.map { shares[$0.name] ?? 0 }, most: most)
    }
}
