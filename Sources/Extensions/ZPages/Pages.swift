internal import Pipeline

/// `/debug/servicez`.
enum ServicePage {
    static func html(_ version: String, _ startNanoseconds: Int64) -> String {
        let seconds = (SystemClock.unixNanoseconds() - startNanoseconds) / 1_000_000_000
        return HTML.page(
            "Sluice",
            HTML.table(
                ["Build and runtime", ""],
                [
                    ["Command", "sluice"], ["Version", HTML.text(version)],
                    ["Started", UTCTime(unixNanoseconds: startNanoseconds).rfc3339],
                    ["Uptime", "\(seconds / 3600)h\(seconds / 60 % 60)m\(seconds % 60)s"],
                ]))
    }
}

/// `/debug/pipelinez` and `/debug/extensionz`: what the configuration says, and what each part has counted.
struct PipelinePage {
    /// One part of a pipeline, as its metrics name it.
    private struct Part: Hashable {
        let kind: String
        let component: String
    }

    private let overview: GatewayOverview
    /// Items by what was done to them, of each part and pipeline; parts that stand in several have no pipeline.
    private var counts: [String: [(part: Part, signal: String, pipeline: String?, value: Int64)]] = [:]

    private static let flows = ["in", "made", "out", "dropped", "inside"]

    init(_ overview: GatewayOverview, _ page: consuming MetricPage) {
        self.overview = overview
        for flow in Self.flows {
            for (labels, value) in page.families["sluice_component_\(flow)_items"]?.series ?? [:] {
                guard case .whole(let number) = value else { continue }
                let labels = Dictionary(uniqueKeysWithValues: labels.pairs.map { ($0.name, $0.value) })
                let part = Part(kind: labels["kind"] ?? "", component: labels["component"] ?? "")
                counts[flow, default: []].append(
                    (part, labels["otel_signal"] ?? "", labels["pipeline"], number))
            }
        }
    }

    /// - Parameter query: `zpipelinename`, `zcomponentname`, `zcomponentkind` choose a part.
    func html(_ query: Query) -> String {
        var body = HTML.table(
            ["Pipeline", "Input type", "Receivers", "Processors", "Exporters"],
            overview.pipelines.map { pipeline in
                [
                    HTML.text(pipeline.id), HTML.text(Self.signal(of: pipeline.id)),
                    links(pipeline.id, "receiver", pipeline.receivers),
                    links(pipeline.id, "processor", pipeline.processors),
                    links(pipeline.id, "exporter", pipeline.exporters),
                ]
            })
        if let name = query["zcomponentname"], let kind = query["zcomponentkind"] {
            let pipeline = query["zpipelinename"] ?? ""
            body += "<h2>\(HTML.text("\(kind) \(name)"))</h2>" + table(pipeline, kind, name)
        } else {
            body += "<h2>Items</h2>" + all()
        }
        return HTML.page("Pipelines", body)
    }

    static func extensions(_ overview: GatewayOverview) -> String {
        HTML.page("Extensions", HTML.table(["Full name"], overview.extensions.map { [HTML.text($0)] }))
    }

    private static func signal(of pipeline: String) -> String { String(pipeline.prefix { $0 != "/" }) }

    private func links(_ pipeline: String, _ kind: String, _ names: [String]) -> String {
        names.map { name in
            HTML.link(
                "/debug/pipelinez",
                [("zpipelinename", pipeline), ("zcomponentname", name), ("zcomponentkind", kind)], name)
        }.joined(separator: "<br>")
    }

    /// The numbers of one part. A receiver's or an exporter's name may be that of a connector.
    private func table(_ pipeline: String, _ kind: String, _ name: String) -> String {
        rows { part, signal, place in
            part.component == name && (part.kind == kind || part.kind == "connector")
                && (place == nil || place == pipeline || pipeline.isEmpty)
                && (pipeline.isEmpty || part.kind == "connector" || signal == Self.signal(of: pipeline))
        }
    }

    private func all() -> String { rows { _, _, _ in true } }

    private func rows(where isWanted: (Part, String, String?) -> Bool) -> String {
        struct Row: Hashable {
            let part: Part
            let signal: String
            let pipeline: String
        }
        var values: [Row: [String: Int64]] = [:]
        for flow in Self.flows {
            for (part, signal, pipeline, value) in counts[flow] ?? []
            where isWanted(part, signal, pipeline) {
                let row = Row(part: part, signal: signal, pipeline: pipeline ?? "")
                values[row, default: [:]][flow, default: 0] += value
            }
        }
        let sorted = values.sorted { left, right in
            let (left, right) = (left.key, right.key)
            return (left.part.kind, left.part.component, left.pipeline, left.signal)
                < (right.part.kind, right.part.component, right.pipeline, right.signal)
        }
        return HTML.table(
            ["Kind", "Component", "Pipeline", "Signal", "In", "Made", "Out", "Dropped", "Inside"],
            sorted.map { row, values in
                [row.part.kind, row.part.component, row.pipeline, row.signal].map(HTML.text)
                    + Self.flows.map { "\(values[$0] ?? 0)" }
            })
    }
}

/// `/debug/tracez`: the last spans about the gateway itself.
enum TracePage {
    private static let bucketNames = [
        ">0s", ">10µs", ">100µs", ">1ms", ">10ms", ">100ms", ">1s", ">10s", ">100s",
    ]

    /// - Parameter query: `zspanname`, `ztype` (1: by latency, 2: errors) and `zlatencybucket` choose spans.
    static func html(_ log: TraceLog?, _ query: Query) -> String {
        guard let log else { return HTML.page("Trace spans", "<p>No spans are kept.</p>") }
        let names = log.names
        var body = HTML.table(
            ["Span name"] + bucketNames + ["Errors"],
            names.map { name, entry in
                [HTML.text(name)]
                    + entry.buckets.indices.map { index in
                        link(name, type: 1, bucket: index, "\(entry.buckets[index].count)")
                    } + [link(name, type: 2, bucket: 0, "\(entry.errors.count)")]
            })
        if let name = query["zspanname"], let entry = names.first(where: { $0.name == name })?.entry {
            let index = query["zlatencybucket"].flatMap { Int($0) } ?? 0
            let isError = query["ztype"] == "2"
            let bucket =
                isError ? entry.errors : entry.buckets.indices.contains(index) ? entry.buckets[index] : nil
            if let bucket { body += "<h2>\(HTML.text(name))</h2>" + spans(bucket) }
        }
        return HTML.page("Trace spans", body)
    }

    private static func link(_ name: String, type: Int, bucket: Int, _ label: String) -> String {
        HTML.link(
            "/debug/tracez",
            [("zspanname", name), ("ztype", "\(type)"), ("zlatencybucket", "\(bucket)")], label)
    }

    private static func spans(_ bucket: TraceLog.Bucket) -> String {
        HTML.table(
            ["When", "Microseconds", "Trace", "Span", "Attributes", "Error"],
            bucket.spans.reversed().map { span in
                [
                    UTCTime(unixNanoseconds: span.startNanoseconds).rfc3339,
                    "\((span.endNanoseconds - span.startNanoseconds) / 1000)",
                    hex(span.trace.high) + hex(span.trace.low), hex(span.id),
                    span.attributes.map { HTML.text("\($0.key)=\($0.value.shown)") }.joined(
                        separator: "<br>"),
                    HTML.text(span.error ?? ""),
                ]
            })
    }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension OwnValue {
    fileprivate var shown: String {
        switch self {
        case .text(let text): text
        case .whole(let number): "\(number)"
        }
    }
}
