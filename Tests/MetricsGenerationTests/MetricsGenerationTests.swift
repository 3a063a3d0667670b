import Configuration
import MetricsGeneration
import Pipeline
import TestSupport
import Testing

/// Metrics that operators calculate before they store them.
@Suite("metricsgeneration")
struct MetricsGenerationTests {
    private func run(_ rule: String, _ request: [UInt8]) -> [String] {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: "rules:\n- " + rule, path: "t", diagnostics: diagnostics)
        let setup = ComponentType.metricsGeneration.read(section, ComponentID(type: "metricsgeneration"))
        guard !diagnostics.hasErrors, case .processor(let make) = setup.make,
            let rig = try? ProcessorRig("metricsgeneration", { try make($0, $1) })
        else { return diagnostics.items.map(\.message) }
        let before = MetricText.lines(request)
        let after = rig.send(request)
        #expect(after.prefix(before.count) == before[...])
        return Array(after.dropFirst(before.count))
    }

    private let request = MetricText.request(
        "a gauge | k=1 | 0..60 | int 10", "a gauge | k=2 | 0..60 | int 30", "b gauge | k=1 | 0..60 | int 4",
        "z gauge | | 0..60 | int 0", "s sum cumulative mono | | 0..60 | int 7")

    /// A wrong operand is a wrong number on every dashboard.
    @Test(
        "the points of one metric are calculated with the first value of another",
        arguments: [
            ("add", "14", "34"), ("subtract", "6", "26"), ("multiply", "40", "120"),
            ("divide", "2.5", "7.5"), ("percent", "250", "750"),
        ])
    func calculate(operation: String, first: String, second: String) {
        #expect(
            run("{name: n, type: calculate, metric1: a, metric2: b, operation: \(operation)}", request) == [
                "n gauge | k=1 | 0..60 | double \(first)", "n gauge | k=2 | 0..60 | double \(second)",
            ])
    }

    /// A series that appears for nothing, or is infinite, is worse than none.
    @Test("nothing is made of nothing, or by dividing by zero")
    func nothing() {
        #expect(run("{name: n, type: calculate, metric1: a, metric2: z, operation: divide}", request) == [])
        #expect(run("{name: n, type: calculate, metric1: a, metric2: y, operation: add}", request) == [])
        #expect(run("{name: n, type: scale, metric1: y, operation: add, scale_by: 1}", request) == [])
        #expect(
            run("{name: n, type: scale, metric1: s, operation: multiply, scale_by: 0.5}", request) == [
                "n sum |  | 0..60 | double 3.5"
            ])
    }

    @Test(
        "what makes no sense is refused in the Collector's words",
        arguments: [
            ("{type: scale, metric1: a, scale_by: 1, operation: add}", "missing required field \"name\""),
            (
                "{name: x, type: calculate, metric1: a, operation: add}",
                "missing required field \"metric2\" for generation type \"calculate\""
            ),
            (
                "{name: x, type: scale, metric1: a, operation: add, scale_by: 0}",
                "field \"scale_by\" required to be greater than 0 for generation type \"scale\""
            ),
            (
                "{name: x, type: scale, metric1: a, operation: power, scale_by: 1}",
                "\"operation\" must be in [\"add\" \"divide\" \"multiply\" \"percent\" \"subtract\"]"
            ),
            (
                "{name: a, type: scale, metric1: a, operation: add, scale_by: 1}",
                "value of field \"name\" may not match value of field \"metric1\""
            ),
        ])
    func broken(rule: String, message: String) {
        #expect(run(rule, request) == [message])
    }
}
