import Configuration
import TailSampling
import Testing

@Suite("tail_sampling: configuration")
struct TailSamplingConfigTests {
    private func read(_ yaml: String) -> (TailSamplingConfig, String) {
        let diagnostics = Diagnostics()
        let config = TailSamplingConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        return (config, diagnostics.render())
    }

    /// Otherwise a policy with a mistake would be found out by the traces that are missing.
    @Test(
        "policies that mean nothing are refused, in the Collector's words",
        arguments: [
            ("{name: a, type: nonsense}", "unknown sampling policy type nonsense"),
            ("{type: always_sample}", "policy name cannot be empty"),
            ("{name: a, type: always_sample}, {name: a, type: always_sample}", "duplicate policy name \"a\""),
            ("{name: a, type: status_code}", "expected at least one status code to filter on"),
            (
                "{name: a, type: status_code, status_code: {status_codes: [BAD]}}",
                "unknown status code \"BAD\", supported: OK, ERROR, UNSET"
            ),
            (
                "{name: a, type: numeric_attribute, numeric_attribute: {key: n}}",
                "neither min_value nor max_value"
            ),
            (
                "{name: a, type: string_attribute, string_attribute: {key: k, values: ['('], "
                    + "enabled_regex_matching: true}}", "invalid regex `(`"
            ),
            ("{name: a}", "every policy needs a type"),
            (
                "{name: a, type: and, and: {and_sub_policy: [{name: b, type: drop}]}}",
                "unknown sampling policy type drop"
            ),
            ("{name: a, type: not}", "not_sub_policy is missing"),
        ])
    func refused(policies: String, message: String) {
        let text = read("policies: [\(policies)]").1
        #expect(text.contains("error: ") && text.contains(message), "\(text)")
    }

    /// Otherwise a configuration of the Collector would not start, or quietly do something else than it says.
    @Test(
        "what does not do what it seems to is told",
        arguments: [
            ("policies: []", "there are no policies"),
            (
                "policies: [{name: d, type: drop, drop: {drop_sub_policy: [{name: a, type: always_sample}]}}]",
                "only policies that drop"
            ),
            (
                "policies: [{name: a, type: string_attribute, string_attribute: {key: k, values: [v], "
                    + "invert_match: true}}]", "keeps nothing from being sampled by other policies"
            ),
            (
                "policies: [{name: c, type: composite, composite: {max_total_spans_per_second: 9, "
                    + "composite_sub_policy: [{name: a, type: always_sample}]}}]",
                "has nothing for policy \"a\""
            ),
            (
                "policies: [{name: a, type: numeric_attribute, numeric_attribute: {key: n, min_value: 9, max_value: 3}}]",
                "min_value 9 is above max_value 3: no value lies between them"
            ),
            ("decision_wait: -1s\npolicies: [{name: a, type: always_sample}]", "is negative"),
        ])
    func warned(yaml: String, message: String) {
        let text = read(yaml).1
        #expect(text.contains("warning: ") && !text.contains("error: ") && text.contains(message), "\(text)")
    }

    /// Otherwise `span-ingest` would count a trace as often as spans of it came.
    @Test("span-ingest refuses policies that limit a rate")
    func stateful() {
        let text = read(
            "sampling_strategy: span-ingest\npolicies: [{name: r, type: and, and: {and_sub_policy: "
                + "[{name: x, type: rate_limiting, rate_limiting: {spans_per_second: 5}}]}}]"
        ).1
        #expect(text.contains("policy \"r\" limits a rate"))
        #expect(read("sampling_strategy: psychic").1.contains("invalid sampling_strategy \"psychic\""))
    }
}
