import Configuration
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import Service

/// Reads a plan of test components and of those that are built in.
func plan(_ yaml: String, _ journal: Journal) -> (plan: GatewayPlan?, problems: String) {
    let diagnostics = Diagnostics()
    let loaded = GatewayPlan.load(
        sources: [ConfigSource("yaml:" + yaml)],
        types: builtInComponents.filter { ["batch", "file_storage"].contains($0.name) }
            + testComponents(journal),
        diagnostics: diagnostics)
    return (loaded?.plan, diagnostics.render())
}

func gateway(_ yaml: String, _ journal: Journal, loops: Int = 1) throws -> Gateway {
    let (plan, problems) = plan(yaml, journal)
    return try Gateway(
        try #require(plan, "\(problems)"), version: "test", probes: nil, loops: loops,
        logger: makeSilentLogger())
}

private let quiet = "telemetry: {metrics: {level: none}}"

@Suite("Graph")
struct GraphTests {
    /// A user would lose what is on its way when the gateway stops, or data that comes while it starts.
    @Test("starts from the back, stops from the front; extensions and shared parts around all that uses them")
    func order() async throws {
        let journal = Journal()
        let gateway = try gateway(
            """
            receivers: {test: , test/2: }
            processors: {test/a: , test/b: }
            connectors: {test/c: }
            exporters: {test: {dead_letter: test/dead}, test/dead: , test/end: }
            extensions: {test/x: }
            service:
              \(quiet)
              extensions: [test/x]
              pipelines:
                traces: {receivers: [test], processors: [test/a, test/b], exporters: [test, test/c]}
                traces/2: {receivers: [test/c, test/2], exporters: [test/end]}
            """, journal)
        try await gateway.start()
        let started = journal.lines.value
        journal.lines.value = []
        #expect(await gateway.stop(until: .now() + .seconds(5)) == Leftover())
        let stopped = journal.lines.value
        #expect(started.first == "start extension test/x" && stopped.last == "stop extension test/x")
        func check(_ front: String, before back: String) throws {
            let (start, stop) = (
                try #require(started.firstIndex(of: "start \(front)"), "\(front)"),
                try #require(stopped.firstIndex(of: "stop \(front)"), "\(front)")
            )
            #expect(
                start > (try #require(started.firstIndex(of: "start \(back)"))),
                "\(front) starts after \(back)")
            #expect(
                stop < (try #require(stopped.firstIndex(of: "stop \(back)"))), "\(front) stops before \(back)"
            )
        }
        try check("receiver test", before: "processor test/a")
        try check("processor test/a", before: "processor test/b")
        try check("processor test/b", before: "exporter test")
        try check("processor test/b", before: "connector test/c")
        try check("connector test/c", before: "exporter test/end")
        try check("receiver test/2", before: "exporter test/end")
        try check("exporter test", before: "exporter test/dead")
        try check("exporter test", before: "shared of exporter test")
        #expect(started.count == stopped.count)
    }

    /// A gateway that half started would take data that goes nowhere, or leave ports open.
    @Test(
        "what fails to start is said; it and exactly what had started before it are stopped",
        arguments: [
            "test", "test/a", "test/end", "test/x",
        ])
    func failure(id: String) async throws {
        let journal = Journal()
        let gateway = try gateway(
            """
            receivers: {test: }
            processors: {test/a: }
            exporters: {test/end: }
            extensions: {test/x: }
            service:
              \(quiet)
              extensions: [test/x]
              pipelines: {traces: {receivers: [test], processors: [test/a], exporters: [test/end]}}
            """, journal)
        journal.failing.value = [id]
        let error = await #expect(throws: GatewayError.self) { try await gateway.start() }
        #expect("\(try #require(error))".hasSuffix("\(id) does not start"))
        let started = journal.lines.value.map { String($0.dropFirst("start ".count)) }
        journal.lines.value = []
        _ = await gateway.stop(until: .now() + .seconds(1))
        let stopped = journal.lines.value.map { String($0.dropFirst("stop ".count)) }
        // What had begun when the start failed must not go on behind everybody's back.
        let failed = try #require(stopped.first { $0.hasSuffix(" " + id) && !$0.hasPrefix("shared") })
        #expect(stopped == [failed] + started.reversed())
        #expect(!started.contains { $0.hasSuffix(" " + id) && !$0.hasPrefix("shared") })
    }

    @Test("a component that cannot be made is named with its section")
    func broken() throws {
        let journal = Journal()
        journal.broken.value = ["test/a"]
        let error = #expect(throws: GatewayError.self) {
            try gateway(
                """
                receivers: {test: }
                processors: {test/a: }
                exporters: {test/end: }
                service:
                  \(quiet)
                  pipelines: {traces: {receivers: [test], processors: [test/a], exporters: [test/end]}}
                """, journal)
        }
        #expect("\(try #require(error))" == "processors::test/a::is broken")
    }

    /// A connector that is wired by half loses all that comes to it, without a word.
    @Test(
        "connectors are checked with the Collector's rules",
        arguments: [
            (
                "traces: {receivers: [test], exporters: [test/c]}",
                "connector \"test/c\" used as exporter in [traces] pipeline but not used in any supported receiver pipeline"
            ),
            (
                "traces: {receivers: [test], exporters: [test]}\n    metrics: {receivers: [test/c], exporters: [test]}",
                "connector \"test/c\" used as receiver in [metrics] pipeline but not used in any supported exporter pipeline"
            ),
            (
                "traces: {receivers: [test], exporters: [test/c]}\n    metrics: {receivers: [test/c], exporters: [test]}",
                "connector \"test/c\" used as exporter in [traces] pipeline but not used in any supported receiver pipeline"
            ),
            (
                "traces: {receivers: [test, test/c], processors: [test], exporters: [test/c]}",
                "cycle detected: connector \"test/c\" (traces to traces) -> processor \"test\" in pipeline \"traces\" -> connector \"test/c\" (traces to traces)"
            ),
            (
                "traces: {receivers: [test, test/d], exporters: [test/c]}\n    traces/2: {receivers: [test/c], exporters: [test/d]}",
                "cycle detected: connector \"test/c\" (traces to traces) -> connector \"test/d\" (traces to traces) -> connector \"test/c\""
            ),
        ])
    func connectors(pipelines: String, message: String) {
        let (found, problems) = plan(
            """
            receivers: {test: }
            processors: {test: }
            connectors: {test/c: , test/d: }
            exporters: {test: }
            service:
              pipelines:
                \(pipelines)
            """, Journal())
        #expect(found == nil && problems.contains(message), "\(problems)")
    }

    @Test("a name that is an exporter's and a connector's is refused")
    func ambiguous() {
        let (found, problems) = plan(
            """
            receivers: {test: }
            connectors: {test/c: }
            exporters: {test: , test/c: }
            service: {pipelines: {traces: {receivers: [test], exporters: [test]}}}
            """, Journal())
        #expect(
            found == nil && problems.contains("ambiguous ID: Found both \"test/c\" exporter"), "\(problems)")
    }

    @Test(
        "what a component refers to is there, can do what is asked, and does not lead back",
        arguments: [
            ("{dead_letter: test/no}", "references exporter \"test/no\" which is not configured"),
            ("{dead_letter: test}", "leads back: test → test"),
            ("{dead_letter: metrics}", "exporter \"metrics\" cannot carry traces, which \"test\" gets"),
            ("{dead_letter: test/way}", "exporter \"metrics\" cannot carry traces, which \"test/way\" gets"),
            ("{storage: test/x}", "references extension \"test/x\", which is not a started file_storage"),
            (
                "{storage: file_storage}",
                "references extension \"file_storage\", which is not a started file_storage"
            ),
        ])
    func references(section: String, message: String) {
        let (found, problems) = plan(
            """
            receivers: {test: }
            exporters: {test: \(section), metrics: , test/way: {dead_letter: metrics}}
            extensions: {test/x: }
            service:
              extensions: [test/x]
              pipelines: {traces: {receivers: [test], exporters: [test]}}
            """, Journal())
        #expect(found == nil && problems.contains(message), "\(problems)")
    }

    /// An operator would lose all metrics of the gateway by adding a second use of a connector.
    @Test("a connector of several pairs has accounts that a page can tell apart")
    func pairs() throws {
        let journal = Journal()
        let (found, problems) = plan(
            """
            receivers: {test: }
            connectors: {both: }
            exporters: {test: }
            service:
              pipelines:
                traces: {receivers: [test], exporters: [both]}
                logs: {receivers: [test], exporters: [both]}
                metrics: {receivers: [both], exporters: [test]}
                logs/made: {receivers: [both], exporters: [test]}
            """, journal)
        let group = MultiThreadedEventLoopGroup.singleton
        let context = GatewayContext(
            version: "test", group: group, residentSize: try ResidentSize(), logger: makeSilentLogger())
        let plan = try #require(found, "\(problems)")
        let nodes = try GraphBuilder.nodes(of: plan, context, extensions: [:])
        PendingItems.register(nodes, in: context.registry)
        let page = String(decoding: context.registry.render(), as: UTF8.self)
        for pair in [("traces", "metrics"), ("traces", "logs"), ("logs", "metrics")] {
            let labels =
                "component=\"both\",kind=\"connector\",otel_signal=\"\(pair.0)\",otel_signal_output=\"\(pair.1)\""
            #expect(page.contains("sluice_component_inside_items{\(labels)} 0"), "\(page)")
        }
    }

    /// The Collector swaps for this gateway by one binary: a type that two components claim would build either.
    @Test("no two built-in components of a kind share a name")
    func names() {
        var seen: Set<String> = []
        for type in builtInComponents {
            for name in [type.name] + type.aliases.map(\.name) {
                #expect(seen.insert("\(type.kind) \(name)").inserted, "\(type.kind) \(name)")
            }
        }
    }
}
