import Configuration
import MetricsTransform
import Pipeline
import TestSupport
import Testing

/// What operators wrote for the Collector does here what it did there.
@Suite("metricstransform")
struct MetricsTransformTests {
    private func run(_ transform: String, _ request: [UInt8]) -> [String] {
        let diagnostics = Diagnostics()
        let section = ConfigSection(
            yaml: "transforms:\n- " + transform, path: "t", diagnostics: diagnostics)
        let setup = ComponentType.metricsTransform.read(section, ComponentID(type: "metricstransform"))
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        guard case .processor(let make) = setup.make else { return [] }
        let rig = try? ProcessorRig("metricstransform") { try make($0, $1) }
        return rig?.send(request) ?? []
    }

    private let cpu = MetricText.request(
        "cpu gauge | cpu=0,state=user | 0..10 | int 10", "cpu gauge | cpu=1,state=user | 0..10 | int 20",
        "cpu gauge | cpu=0,state=idle | 0..10 | int 5")
    private let disks = MetricText.request(
        "disk.read sum cumulative mono | dev=a | 0..10 | int 100",
        "disk.write sum cumulative mono | dev=a | 0..10 | int 50", "temp gauge | s=x | 0..10 | double 21.5")

    /// Renaming is what most use it for: a wrong name is a lost series.
    @Test("metrics are renamed, by name and by the groups of an expression")
    func rename() {
        #expect(
            run("{include: temp, action: update, new_name: t}", disks).last
                == "t gauge | s=x | 0..10 | double 21.5")
        let lines = run(
            "{include: ^disk.(.*), match_type: regexp, action: update, new_name: 'd_${1}'}", disks)
        #expect(lines.map { $0.prefix(7) } == ["d_read ", "d_write", "temp ga"])
        let copies = run("{include: disk.*d, match_type: regexp, action: insert, new_name: copy}", disks)
        #expect(copies.count == 4 && copies.last == "copy sum cumulative mono | dev=a | 0..10 | int 100")
    }

    /// A rename for some points only would tear a metric apart.
    @Test("with match labels, update needs all points and insert takes those that match")
    func matchLabels() {
        let some = "experimental_match_labels: {state: user}, new_name: u"
        #expect(run("{include: cpu, action: update, \(some)}", cpu).allSatisfy { $0.hasPrefix("cpu ") })
        #expect(run("{include: cpu, action: insert, \(some)}", cpu).filter { $0.hasPrefix("u ") }.count == 2)
        let scaled = run(
            "{include: cpu, action: update, experimental_match_labels: {state: idle}, "
                + "operations: [{action: experimental_scale_value, experimental_scale: 2}]}", cpu)
        #expect(scaled.map { $0.suffix(3) } == [" 10", " 20", " 10"])
    }

    /// Aggregates are what dashboards show.
    @Test(
        "points that became alike are merged",
        arguments: [
            ("sum", "30"), ("mean", "15"), ("min", "10"), ("max", "20"), ("median", "15"), ("count", "2"),
        ])
    func aggregate(type: String, user: String) {
        let lines = run(
            "{include: cpu, action: update, operations: "
                + "[{action: aggregate_labels, label_set: [state], aggregation_type: \(type)}]}", cpu)
        #expect(
            lines == [
                "cpu gauge | state=user | 0..10 | int \(user)", "cpu gauge | state=idle | 0..10 | int 5",
            ])
    }

    /// A value that is replaced without its points being merged is two points of one series.
    @Test("values of a label become one")
    func aggregateValues() {
        let lines = run(
            "{include: cpu, action: update, operations: [{action: aggregate_label_values, label: state, "
                + "aggregated_values: [user, idle], new_value: any, aggregation_type: sum}]}", cpu)
        #expect(
            lines == [
                "cpu gauge | cpu=0,state=any | 0..10 | int 15",
                "cpu gauge | cpu=1,state=any | 0..10 | int 20",
            ])
    }

    /// Combining is how several metrics become one with a label.
    @Test("metrics are combined, with the groups of the expression as labels, unless they differ")
    func combine() {
        let lines = run(
            "{include: '^disk.(read|write)$', match_type: regexp, action: combine, new_name: io, aggregation_type: sum}",
            disks)
        #expect(
            lines == [
                "temp gauge | s=x | 0..10 | double 21.5",
                "io sum cumulative mono | $1=read,dev=a | 0..10 | int 100",
                "io sum cumulative mono | $1=write,dev=a | 0..10 | int 50",
            ])
        let all = "{include: ., match_type: regexp, action: combine, new_name: io, aggregation_type: sum}"
        #expect(run(all, disks) == MetricText.lines(disks))
    }

    /// A group that loses its scope or resource is data of nobody.
    @Test("a group is a resource with further attributes")
    func group() {
        let lines = run(
            "{include: ^disk, match_type: regexp, action: group, group_resource_labels: {g: d}}", disks)
        #expect(
            lines == [
                "temp gauge | s=x | 0..10 | double 21.5",
                "g=d,service.name=checkout / disk.read sum cumulative mono | dev=a | 0..10 | int 100",
                "g=d,service.name=checkout / disk.write sum cumulative mono | dev=a | 0..10 | int 50",
            ])
    }

    /// Labels are what alerts select by.
    @Test("labels are added, renamed and changed, points of a value removed")
    func labels() {
        func operate(_ operation: String) -> [String] {
            run("{include: cpu, action: update, operations: [\(operation)]}", cpu).map {
                String($0.split(separator: "|")[1].dropFirst().dropLast())
            }
        }
        #expect(operate("{action: add_label, new_label: cpu, new_value: z}")[0] == "cpu=0,state=user")
        #expect(
            operate("{action: add_label, new_label: v, new_value: 'v{{version}}'}")[0]
                == "cpu=0,state=user,v=vtest")
        #expect(
            operate(
                "{action: update_label, label: state, new_label: m, value_actions: [{value: user, new_value: u}]}"
            )
                == ["cpu=0,m=u", "cpu=1,m=u", "cpu=0,m=idle"])
        #expect(operate("{action: update_label, label: state, new_label: state}")[0] == "cpu=0,state=user")
        #expect(
            operate("{action: delete_label_value, label: state, label_value: user}") == ["cpu=0,state=idle"])
        #expect(operate("{action: delete_label_value, label: cpu, label_value: nope}").count == 3)
    }

    /// Histograms and their scales are not numbers: a wrong merge is a wrong percentile.
    @Test("histograms are added and scaled")
    func histograms() {
        let request = MetricText.request(
            "h hist cumulative | r=a | 0..10 | hist 6 12 [1,5] [1,2,3]",
            "h hist cumulative | r=b | 0..10 | hist 5 6 [1,5] [4,0,1]",
            "e exp cumulative | r=a | 0..10 | exp 4 5 1 1 0 0 [1,2] 0 []",
            "e exp cumulative | r=b | 0..10 | exp 1 2 1 0 0 0 [1] 0 []")
        #expect(
            run(
                "{include: ., match_type: regexp, action: update, operations: "
                    + "[{action: aggregate_labels, label_set: [], aggregation_type: sum}]}", request) == [
                    "h hist cumulative |  | 0..10 | hist 11 18 [1,5] [5,2,4]",
                    "e exp cumulative |  | 0..10 | exp 5 7 1 1 0 0 [2,2] 0 []",
                ])
        #expect(
            run(
                "{include: ., match_type: regexp, action: update, operations: "
                    + "[{action: experimental_scale_value, experimental_scale: 2}]}", request
            ).enumerated().filter { $0.offset % 2 == 0 }.map(\.element) == [
                "h hist cumulative | r=a | 0..10 | hist 6 24 [2,10] [1,2,3]",
                "e exp cumulative | r=a | 0..10 | exp 4 10 1 1 0 2 [1,2] 0 []",
            ])
    }

    /// A type that changes where nobody asked for it breaks the series.
    @Test("integers become doubles and the other way")
    func toggle() {
        let toggle = "operations: [{action: toggle_scalar_data_type}]"
        #expect(
            run("{include: temp, action: update, \(toggle)}", disks).last
                == "temp gauge | s=x | 0..10 | int 21")
        #expect(run("{include: cpu, action: update, \(toggle)}", cpu)[0].hasSuffix("double 10"))
    }
}
