import Configuration
import DeltaToRate
import Pipeline
import TestSupport
import Testing

/// Rates for backends without a rate function.
@Suite("deltatorate")
struct DeltaToRateTests {
    /// A rate by the wrong time is a wrong rate; a cumulative sum has none.
    @Test("sums of deltas become rates a second, all else passes")
    func rates() throws {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: "metrics: [c, d, u]", path: "t", diagnostics: diagnostics)
        let setup = ComponentType.deltaToRate.read(section, ComponentID(type: "deltatorate"))
        guard case .processor(let make) = setup.make else { return }
        let rig = try ProcessorRig("deltatorate") { try make($0, $1) }
        let lines = rig.send(
            MetricText.request(
                "c sum delta mono | a=b | 0..10 | int 30", "d sum delta | | 5..5 | double 2",
                "u sum cumulative | | 0..10 | int 30", "o sum delta | | 0..10 | int 30"))
        #expect(
            lines == [
                "c gauge | a=b | 0..10 | double 3", "d gauge |  | 5..5 | double 0",
                "u sum cumulative |  | 0..10 | int 30", "o sum delta |  | 0..10 | int 30",
            ])
        #expect(rig.context.account.read().inside == 0)
    }

    /// Without names it would do nothing, silently.
    @Test("names are needed")
    func names() {
        let diagnostics = Diagnostics()
        _ = DeltaToRateConfig(ConfigSection(yaml: "", path: "t", diagnostics: diagnostics))
        #expect(diagnostics.items.map(\.message) == ["metric names are missing"])
    }
}
