import AttributesProcessor
import BatchProcessor
import Configuration
import CumulativeToDelta
import DeltaToCumulative
import DeltaToRate
import FilterProcessor
import GroupByAttributes
import GroupByTrace
import Interval
import KubernetesAttributes
import LogDeduplication
import MemoryLimiter
import MetricStartTime
import MetricsGeneration
import MetricsTransform
import NIOPosix
import OTLP
import Pipeline
import ProbabilisticSampler
import RedactionProcessor
import ResourceDetection
import SpanProcessor
import TailSampling
import TestSupport
import TransformProcessor

/// A processor with a configuration in which it does much.
struct ProcessorCase: Sendable, CustomStringConvertible {
    let type: ComponentType
    let yaml: String

    var description: String { type.name }

    func make(_ signal: Signal, before next: PipelineInput) throws -> any PipelineComponent {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: yaml, diagnostics: diagnostics)
        guard let id = ComponentID(type.name) else { throw Problem(text: "\(type.name) is no id") }
        let setup = type.read(section, id)
        guard !diagnostics.hasErrors else { throw Problem(text: diagnostics.render()) }
        guard case .processor(let make) = setup.make else {
            throw Problem(text: "\(type.name) is no processor")
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        return try make(.alone(.processor, type.name, signal: signal, on: loop), next)
    }

    struct Problem: Error, CustomStringConvertible {
        let text: String
        var description: String { text }
    }

    static let all = [
        ProcessorCase(type: .memoryLimiter, yaml: "{check_interval: 1s, limit_mib: 4000}"),
        ProcessorCase(type: .batch, yaml: "{timeout: 10ms, send_batch_size: 50, send_batch_max_size: 60}"),
        ProcessorCase(
            type: .attributes,
            yaml: """
                actions:
                  - {key: a, action: insert, value: 5}
                  - {key: service.name, action: hash}
                  - {pattern: "http.*", action: delete}
                  - {key: GET, action: upsert, from_attribute: x/y?z=1&q=2}
                  - {key: "x/y?z=1&q=2", action: convert, converted_type: int}
                  - {key: a, pattern: "^(?P<one>.)(?P<two>.*)$", action: extract}
                """),
        ProcessorCase(
            type: .resource,
            yaml: "attributes: [{key: env, action: upsert, value: [1, {a: b}]}, {key: a, action: hash}]"),
        ProcessorCase(type: .probabilisticSampler, yaml: "{sampling_percentage: 50, mode: proportional}"),
        ProcessorCase(
            type: .span,
            yaml: """
                name: {from_attributes: [a, GET], separator: "-", to_attributes: {rules: ["(?P<word>[a-z]+)"]}}
                status: {code: Error, description: failed}
                """),
        ProcessorCase(type: .groupByAttributes, yaml: "keys: [a, GET, service.name]"),
        ProcessorCase(
            type: .redaction,
            yaml: """
                {allow_all_keys: true, blocked_key_patterns: [ser], blocked_values: ["[a-z]+"], redact_all_types: true,
                hash_function: sha1, summary: debug}
                """),
        ProcessorCase(type: .resourceDetection, yaml: "{detectors: [env, system], timeout: 1s}"),
        ProcessorCase(type: .kubernetesAttributes, yaml: "passthrough: true"),
        ProcessorCase(
            type: .logDeduplication, yaml: "{interval: 1h, exclude_fields: [attributes.a, body.a]}"),
        ProcessorCase(
            type: .filter,
            yaml: """
                trace_conditions: ['IsMatch(span.name, "^a")', 'spanevent.attributes["a"] != nil', 'Len(span.links) == 2']
                metric_conditions: ['datapoint.attributes["a"] == "a"', 'metric.name == ""', 'HasAttrKeyOnDatapoint("GET") and metric.unit != ""']
                log_conditions: ['log.body["a"] == 1', 'log.severity_number > 1000', 'resource.attributes["a"] == nil']
                """),
        ProcessorCase(
            type: .tailSampling,
            yaml: """
                decision_wait: 1s
                policies:
                  - {name: a, type: latency, latency: {threshold_ms: 1, upper_threshold_ms: 100000}}
                  - {name: b, type: string_attribute, string_attribute: {key: a, values: ["a.*"], enabled_regex_matching: true}}
                  - {name: c, type: trace_state, trace_state: {key: a, values: [a]}}
                  - {name: d, type: ottl_condition, ottl_condition: {span: ['attributes["a"] == "a"'], spanevent: ['name != ""']}}
                """),
        ProcessorCase(type: .groupByTrace, yaml: "{wait_duration: 1s, num_traces: 100}"),
        ProcessorCase(
            type: .transform,
            yaml: """
                trace_statements:
                  - context: span
                    statements:
                      - flatten(attributes)
                      - set(attributes["n"], Concat([name, trace_state, status.message], "|"))
                      - set(trace_state["a"], "b")
                      - replace_all_patterns(attributes, "key", "[a-z]", "$$0$$0")
                      - set(attributes["events"], Len(events))
                  - context: spanevent
                    statements: ['limit(attributes, 1, [])', 'set(span.name, name)', 'set(resource.attributes["e"], event_index)']
                metric_statements:
                  - context: metric
                    statements: ['convert_sum_to_gauge()', 'set(description, Concat([name, unit], ""))', 'scale_metric(2.0)']
                  - context: metric
                    statements: ['extract_count_metric(true)', 'aggregate_on_attributes("sum", ["a"])', 'merge_histogram_buckets(3)']
                  - context: datapoint
                    statements: ['set(attributes["v"], value_double)', 'set(explicit_bounds, [1.0])', 'set(count, 5)']
                  - context: exemplar
                    statements: ['set(filtered_attributes["a"], double_value)']
                log_statements:
                  - merge_maps(log.attributes, log.body, "upsert")
                  - set(log.body["a"]["b"], log.attributes)
                  - truncate_all(log.attributes, 3)
                  - set(log.attributes["all"], String(log.body))
                  - unroll(log.attributes["a"])
                """),
        ProcessorCase(
            type: .metricsTransform,
            yaml: """
                transforms:
                  - {include: "^(.*)a", match_type: regexp, action: update, new_name: "$$1b", operations: [
                      {action: add_label, new_label: x, new_value: y}, {action: aggregate_labels, label_set: [a], aggregation_type: sum},
                      {action: toggle_scalar_data_type}, {action: experimental_scale_value, experimental_scale: 2}]}
                  - {include: ".*", match_type: regexp, action: insert, new_name: "copy"}
                  - {include: "(?P<w>.).*", match_type: regexp, action: combine, new_name: all, aggregation_type: max}
                """),
        ProcessorCase(type: .cumulativeToDelta, yaml: "initial_value: keep"),
        ProcessorCase(type: .deltaToCumulative, yaml: "{max_stale: 1h, max_streams: 100}"),
        ProcessorCase(
            type: .metricsGeneration,
            yaml: """
                rules:
                  - {name: r, type: calculate, metric1: a, metric2: GET, operation: divide}
                  - {name: s, type: scale, metric1: a, operation: multiply, scale_by: 2}
                """),
        ProcessorCase(type: .deltaToRate, yaml: "metrics: [a, GET, \"\"]"),
        ProcessorCase(type: .interval, yaml: "interval: 1h"),
        ProcessorCase(type: .metricStartTime, yaml: "strategy: subtract_initial_point"),
    ]
}
