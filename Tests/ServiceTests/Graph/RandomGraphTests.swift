import Configuration
import Foundation
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import Service

/// A configuration of up to twelve nodes: batchers behind batchers, shared exporters, connectors, dead letters.
private struct RandomGraph {
    var yaml = ""
    /// For each receiver, each exporter's number of ways from it that end in a delivery.
    var receivers: [String] = []

    init(_ random: inout SeededRandom) {
        let pipelines = 1 + random.below(3)
        let exporters = 1 + random.below(3)
        var connectors: [String] = []
        var sections = [
            "receivers": "", "processors": "", "connectors": "", "exporters": "", "pipelines": "",
        ]
        for index in 0..<exporters {
            let refuses = index > 0 && random.below(4) == 0
            let letter = refuses && random.below(2) == 0 ? "on_permanent_failure: sink/0, " : ""
            let queue =
                random.below(2) == 0 ? "sending_queue: {batch: {flush_timeout: 5ms, min_size: 20}}" : ""
            sections["exporters"]! += "\n  sink/\(refuses ? "refusing" : "")\(index): {\(letter)\(queue)}"
        }
        let names = sections["exporters"]!.split(separator: "\n").map {
            String($0.split(separator: ":")[0].drop { $0 == " " })
        }
        for index in 0..<pipelines {
            var incoming: [String] = []
            // A pipeline gets data from a connector of an earlier one, from a receiver, or from both.
            if index > 0, random.below(2) == 0 {
                let connector = "test/c\(index)"
                connectors.append(connector)
                incoming.append(connector)
            }
            if incoming.isEmpty || random.below(2) == 0 {
                let receiver = random.below(2) == 0 || receivers.isEmpty ? "test/r\(index)" : receivers[0]
                if !receivers.contains(receiver) { receivers.append(receiver) }
                incoming.append(receiver)
            }
            var processors: [String] = []
            for place in 0..<random.below(4) {
                if random.below(3) == 0 {
                    processors.append("test/p\(index)_\(place)")
                    sections["processors"]! += "\n  test/p\(index)_\(place):"
                } else {
                    processors.append("batch/b\(index)_\(place)")
                    let size = [0, 7, 50][random.below(3)]
                    let timeout = ["1ms", "5ms", "10s"][random.below(3)]
                    sections["processors"]! +=
                        "\n  batch/b\(index)_\(place): {send_batch_size: \(size), timeout: \(timeout)}"
                }
            }
            var outgoing = names.filter { _ in random.below(2) == 0 }
            if outgoing.isEmpty { outgoing = [names[random.below(names.count)]] }
            sections["pipelines", default: ""] +=
                "\n    traces/\(index): {receivers: [\(incoming.joined(separator: ", "))], "
                + "processors: [\(processors.joined(separator: ", "))], exporters: [\(outgoing.joined(separator: ", "))@\(index)]}"
        }
        // A connector's other side is a pipeline before it.
        for index in 0..<pipelines {
            let mine = connectors.filter { connector in
                let target = Int(connector.dropFirst("test/c".count))!
                return index == target - 1
            }
            sections["pipelines"]! = sections["pipelines"]!.replacingOccurrences(
                of: "@\(index)]", with: mine.map { ", \($0)" }.joined() + "]")
        }
        for receiver in receivers { sections["receivers"]! += "\n  \(receiver):" }
        for connector in connectors { sections["connectors"]! += "\n  \(connector):" }
        for kind in ["receivers", "processors", "connectors", "exporters"] where sections[kind] != "" {
            yaml += "\(kind):\(sections[kind]!)\n"
        }
        yaml += "service:\n  telemetry: {metrics: {level: none}}\n  pipelines:\(sections["pipelines"]!)\n"
    }
}

@Suite("random graphs")
struct RandomGraphTests {
    private static let seeds = UInt64(ProcessInfo.processInfo.environment["SLUICE_GRAPHS"] ?? "") ?? 100

    /// Scenario: graphs of all shapes, driven from several threads, looked at all the time, stopped under load.
    /// Guarantees: every item that a receiver's pipelines took has ended, delivered or counted as dropped, on every way;
    /// every look finds in + made = out + dropped + inside with nothing negative; nothing is inside at the end.
    @Test("nothing taken is lost, whatever stands behind whatever", .timeLimit(.minutes(20)))
    func conservation() async throws {
        for seed in 1...Self.seeds {
            try await run(seed)
        }
    }

    private func run(_ seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let graph = RandomGraph(&random)
        let journal = Journal()
        let gateway = try gateway(graph.yaml, journal, loops: 2)
        try await gateway.start()
        let ended = Noted(false)
        let taken = Noted<[String: Int]>([:])
        let receivers = journal.receivers.value
        await withTaskGroup(of: Void.self) { group in
            for (id, receiver) in receivers {
                group.addTask {
                    for round in 0... {
                        let items = 1 + round % 5
                        guard let isTaken = receiver.bring(traces(items: items)) else { return }
                        if isTaken { taken.change { $0[id, default: 0] += items } }
                        if round % 20 == 0 { await Task.yield() }
                    }
                }
            }
            group.addTask {
                while !ended.value {
                    for account in journal.accounts.value {
                        let reading = account.read()
                        #expect(reading.inside >= 0, "seed \(seed): \(account.kind) \(account.id)")
                    }
                    await Task.yield()
                }
            }
            group.addTask {
                for _ in 0..<20 { await Task.yield() }
                let leftover = await gateway.stop(until: .now() + .seconds(20))
                ended.value = true
                #expect(leftover == Leftover(), "seed \(seed)")
            }
        }
        for account in journal.accounts.value {
            let reading = account.read()
            #expect(
                reading.inside == 0,
                "seed \(seed): \(account.kind) \(account.id) holds \(reading)\n\(graph.yaml)")
        }
        // What came in at each receiver is what its clients were told.
        for (id, receiver) in receivers {
            let accepted = receiver.account.map { Int($0.read().entered) }
            #expect(accepted == taken.value[id, default: 0], "seed \(seed): \(id)\n\(graph.yaml)")
        }
        checkExporters(graph, journal, taken.value, seed)
    }

    /// Every exporter has all items of every way that leads to it, sent or counted as dropped.
    private func checkExporters(
        _ graph: RandomGraph, _ journal: Journal, _ taken: [String: Int], _ seed: UInt64
    ) {
        let exporters = journal.accounts.value.filter { $0.kind == .exporter }
        let sent = exporters.reduce(into: [String: Int]()) {
            $0["\($1.id)", default: 0] += Int($1.read().left)
        }
        for (id, items) in journal.delivered.value {
            #expect(sent[id] == items, "seed \(seed): \(id) got \(items), counted \(sent[id] ?? 0)")
        }
        let wanted = ways(graph, taken)
        for account in exporters {
            let reading = account.read()
            #expect(
                Int(reading.entered) == wanted["\(account.id)", default: 0],
                "seed \(seed): \(account.id) \(reading), wanted \(wanted)\n\(graph.yaml)")
        }
    }

    /// The items that must have come to each exporter, by a plain walk over the text of the configuration.
    private func ways(_ graph: RandomGraph, _ taken: [String: Int]) -> [String: Int] {
        var pipelines: [(receivers: [String], exporters: [String])] = []
        for line in graph.yaml.split(separator: "\n") where line.contains("traces/") {
            func list(_ key: String) -> [String] {
                guard let start = line.range(of: key + ": [") else { return [] }
                return line[start.upperBound...].prefix { $0 != "]" }.split(separator: ",").map {
                    $0.trimmingCharacters(in: .whitespaces)
                }
            }
            pipelines.append((list("receivers"), list("exporters")))
        }
        var came: [String: Int] = [:]
        func bring(_ items: Int, from source: String) {
            for pipeline in pipelines where pipeline.receivers.contains(source) {
                for target in pipeline.exporters {
                    if target.hasPrefix("test/c") {
                        bring(items, from: target)
                    } else {
                        came[target, default: 0] += items
                    }
                }
            }
        }
        for (receiver, items) in taken { bring(items, from: receiver) }
        // Dead letters all go to the first exporter.
        for line in graph.yaml.split(separator: "\n") where line.contains("on_permanent_failure") {
            let name = String(line.drop { $0 == " " }.prefix { $0 != ":" })
            came["sink/0", default: 0] += came[name] ?? 0
        }
        return came
    }
}

private func traces(items: Int) -> Batch {
    let payload = Payload(ByteBuffer(bytes: RequestBuilder.makeTraces(spans: items, seed: 1)))
    return Batch(.traces, payload: payload, items: items)
}
