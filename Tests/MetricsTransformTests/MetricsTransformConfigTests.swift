import Configuration
import MetricStreams
import MetricsTransform
import RegularExpression
import Testing

@Suite("Keys of metricstransform")
struct MetricsTransformConfigTests {
    private func read(_ yaml: String) -> (MetricsTransformConfig, [String]) {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: yaml, path: "t", diagnostics: diagnostics)
        let config = MetricsTransformConfig(section)
        return (config, diagnostics.items.map(\.message))
    }

    /// A configuration of the Collector must be read as the Collector reads it.
    @Test("every key is read")
    func full() throws {
        let (config, problems) = read(
            """
            transforms:
            - include: ^a(?P<x>.*)$
              match_type: regexp
              experimental_match_labels: {k: v.*}
              action: combine
              new_name: b
              aggregation_type: median
              group_resource_labels: {g: h}
              operations:
              - {action: add_label, new_label: n, new_value: v}
              - {action: update_label, label: l, new_label: m, value_actions: [{value: a, new_value: b}]}
              - {action: delete_label_value, label: l, label_value: v}
              - {action: toggle_scalar_data_type}
              - {action: experimental_scale_value, experimental_scale: 0.5}
              - {action: aggregate_labels, label_set: [a], aggregation_type: max}
              - {action: aggregate_label_values, label: l, aggregated_values: [a, b], new_value: c, aggregation_type: count}
            """)
        #expect(problems == [])
        let transform = try #require(config.transforms.first)
        #expect(transform.expression?.pattern == "^a(?P<x>.*)$" && transform.aggregation == .median)
        #expect(transform.labels.first?.expression?.pattern == "v.*")
        #expect(transform.groupLabels == [ConfigPair("g", "h")] && transform.operations.count == 7)
        #expect(transform.operations[4] == .scaleValue(0.5))
    }

    /// A transform that cannot run as it is written must not start.
    @Test(
        "what makes no sense is refused in the Collector's words",
        arguments: [
            ("{action: update, new_name: x}", "missing required field \"include\""),
            ("{include: a}", "\"action\" must be in [\"insert\" \"update\" \"combine\" \"group\"]"),
            (
                "{include: a, action: update, match_type: glob}",
                "\"match_type\" must be in [\"strict\" \"regexp\"]"
            ),
            (
                "{include: a, action: insert}",
                "missing required field \"new_name\" while \"action\" is insert"
            ),
            (
                "{include: a, action: combine, new_name: b}",
                "missing required field \"aggregation_type\" while \"action\" is combine"
            ),
            (
                "{include: a, action: group}",
                "missing required field \"group_resource_labels\" while \"action\" is group"
            ),
            (
                "{include: a, action: update, submatch_case: title}",
                "\"submatch_case\" must be in [\"lower\" \"upper\"]"
            ),
            (
                "{include: a, action: update, operations: [{action: add_label, new_label: a}]}",
                "operation 1: missing required field \"new_value\" while \"action\" is add_label"
            ),
            (
                "{include: a, action: update, operations: [{action: aggregate_labels, aggregation_type: mode}]}",
                "operation 1: \"aggregation_type\" must be in [\"sum\" \"mean\" \"min\" \"max\" \"median\" \"count\"]"
            ),
            (
                "{include: (, match_type: regexp, action: update}",
                "\"include\", missing ): ("
            ),
        ])
    func broken(transform: String, message: String) {
        let problems = read("transforms:\n- " + transform).1
        #expect(problems.contains(message), "\(problems)")
    }
}
