import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import LogDeduplication

/// What is left of logs that say the same again and again. A record merged wrongly is a message that nobody ever sees.
@Suite("log_dedup")
struct LogDeduplicationTests {
    private let loop = EmbeddedEventLoop()
    private let sink = FakeConsumer()
    private let clock = Noted<Int64>(1_700_000_000_000_000_000)
    private let registry = MetricRegistry()
    private let ledger = MemoryLedger()

    private func read(_ yaml: String) -> (LogDeduplicationConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (LogDeduplicationConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics)), diagnostics)
    }

    private func make(_ yaml: String) -> LogDeduplication {
        let (config, diagnostics) = read(yaml)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        let clock = clock
        return LogDeduplication(
            config,
            .alone(.processor, "log_dedup", signal: .logs, on: loop, registry: registry, ledger: ledger),
            next: PipelineInput(sink), now: { clock.value })
    }

    private func logs(_ records: String..., resource: String = "a") -> String {
        #"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"\#(resource)"}}]},"#
            + #""scopeLogs":[{"scope":{"name":"lib"},"logRecords":["# + records.joined(separator: ",")
            + "]}]}]}"
    }

    private func record(_ body: String, _ attributes: String = "") -> String {
        #"{"severityText":"INFO","body":{"stringValue":"\#(body)"},"attributes":[\#(attributes)]}"#
    }

    private func text(_ key: String, _ value: String) -> String {
        #"{"key":"\#(key)","value":{"stringValue":"\#(value)"}}"#
    }

    /// What came out at a flush: bodies with their counts.
    private func flushed(_ transform: LogDeduplication) -> [String] {
        let before = sink.taken.count
        transform.flush()
        return sink.taken.dropFirst(before).flatMap { batch in
            let json = EditedRequest.json(batch.slices.flatMap { Array(buffer: $0.bytes) }, .logs)
            let bodies = json.matches(of: /"body":\{"stringValue":"([^"]*)"/).map { String($0.output.1) }
            let counts = json.matches(of: /"key":"log_count","value":\{"intValue":"(\d+)"/).map {
                String($0.output.1)
            }
            #expect(bodies.count == counts.count, "\(json)")
            return zip(bodies, counts).map { "\($0)x\($1)" }
        }
    }

    @Test("records that are the same become one, with their number and times")
    func merging() throws {
        let transform = make("")
        let edited = try EditedRequest(logs(record("a"), record("b"), record("a")), .logs, transform)
        #expect(edited.json == "{}")
        clock.value += 5_000_000_000
        _ = try EditedRequest(logs(record("a")), .logs, transform)
        clock.value += 5_000_000_000
        transform.flush()
        let json = EditedRequest.json(
            try #require(sink.taken.first).slices.flatMap { Array(buffer: $0.bytes) }, .logs)
        #expect(json.contains(#""key":"log_count","value":{"intValue":"3"}"#), "\(json)")
        #expect(json.contains(text("first_observed_timestamp", "2023-11-14T22:13:20Z")))
        #expect(json.contains(text("last_observed_timestamp", "2023-11-14T22:13:25Z")))
        #expect(json.contains(#""timeUnixNano":"1700000010000000000""#))
        #expect(json.contains(#""observedTimeUnixNano":"1700000000000000000""#))
        #expect(sink.takenItems == [2])
        // Nothing is told twice.
        #expect(flushed(transform).isEmpty)
    }

    @Test("what makes records different")
    func identity() throws {
        let transform = make("")
        _ = try EditedRequest(
            logs(
                record("a"), record("a", text("k", "1")), record("a", text("k", "2")),
                record("a").replacing("INFO", with: "WARN")), .logs, transform)
        _ = try EditedRequest(logs(record("a"), resource: "b"), .logs, transform)
        #expect(flushed(transform) == ["ax1", "ax1", "ax1", "ax1", "ax1"])
    }

    @Test("excluded fields do not count, and go; included ones alone count")
    func fields() throws {
        let excluding = make(#"{exclude_fields: ['attributes.request\.id', attributes.m.x]}"#)
        let map = { (value: String) in
            #"{"key":"m","value":{"kvlistValue":{"values":[{"key":"x","value":{"stringValue":"\#(value)"}}]}}}"#
        }
        _ = try EditedRequest(
            logs(
                record("a", text("request.id", "1") + "," + map("1")),
                record("a", text("request.id", "2") + "," + map("2"))),
            .logs, excluding)
        #expect(flushed(excluding) == ["ax2"])
        let including = make("{include_fields: [attributes.k]}")
        _ = try EditedRequest(
            logs(record("a", text("k", "1")), record("b", text("k", "1")), record("c"), record("d")), .logs,
            including)
        #expect(flushed(including) == ["ax2", "cx1", "dx1"])
    }

    /// If it failed, whoever holds a hundred thousand records would stand still while they are sent on, with all of them twice in
    /// memory; or some would be told twice, or never.
    @Test("many records are sent on in parts, one in each turn of the loop")
    func parts() throws {
        let transform = make("")
        for resource in ["x", "y"] {
            for batch in 0..<6 {
                let records = (0..<450).map { record("\(batch)-\($0)") }
                _ = try EditedRequest(
                    logs(records.joined(separator: ","), resource: resource), .logs, transform)
            }
        }
        #expect(ledger.bytes > 5400 * 128)
        transform.flush()
        #expect(sink.takenItems == [1000])
        for _ in 0..<10 { loop.advanceTime(by: .milliseconds(1)) }
        #expect(sink.takenItems == [1000, 1000, 1000, 1000, 1000, 400])
        let told = sink.taken.flatMap { batch in
            EditedRequest.json(batch.slices.flatMap { Array(buffer: $0.bytes) }, .logs)
                .matches(of: /"body":\{"stringValue":"([^"]*)"/).map { String($0.output.1) }
        }
        #expect(told.count == 5400 && Set(told).count == 2700)
    }

    /// If it failed, one client with a large resource would lose the records of all, or would be multiplied by what is sent.
    @Test("records of a resource that is larger than a request are sent on, and all behind them")
    func largeResource() throws {
        let transform = make("")
        let long = String(repeating: "x", count: 1_100_000)
        let records = (0..<450).map { record("\($0)") }.joined(separator: ",")
        for resource in ["a", long, "b", long + "y"] {
            _ = try EditedRequest(logs(records, resource: resource), .logs, transform)
        }
        transform.flush()
        for _ in 0..<10 { loop.advanceTime(by: .milliseconds(1)) }
        #expect(sink.takenItems == [900, 900])
        let told = sink.taken.map { batch in
            batch.slices.flatMap { Array(buffer: $0.bytes) }
        }
        #expect(told.reduce(0) { $0 + $1.count } < 3 << 20)
        let json = told.map { EditedRequest.json($0, .logs) }.joined()
        #expect(json.matches(of: /"body"/).count == 1800 && json.matches(of: /"resource"/).count == 4)
        #expect(ledger.bytes < 5 << 20)
    }

    @Test("only records for which a condition holds are held")
    func conditions() throws {
        let transform = make(#"{conditions: ['body == "a"', 'attributes["k"] == "1"']}"#)
        let edited = try EditedRequest(
            logs(record("a"), record("b"), record("c", text("k", "1"))), .logs, transform)
        #expect(
            edited.json.contains(#""body":{"stringValue":"b"}"#)
                && !edited.json.contains(#"Value":"a"},"attr"#))
        #expect(flushed(transform) == ["ax1", "cx1"])
    }

    @Test("clients with other metadata do not share records")
    func metadata() throws {
        let transform = make("{metadata_keys: [X-Tenant], metadata_cardinality_limit: 2}")
        func send(_ tenant: String) throws -> Refusal? {
            try EditedRequest(
                logs(record("a")), .logs, transform, metadata: ClientMetadata([.init("x-tenant", tenant)])
            ).refusal
        }
        #expect(try send("one") == nil && send("two") == nil && send("one") == nil)
        #expect(try send("three")?.isPermanent == true)
        #expect(flushed(transform).sorted() == ["ax1", "ax2"])
    }

    @Test("the first record's time stays when it is asked for")
    func preserved() throws {
        let transform = make("{timestamp_mode: preserved, log_count_attribute: n}")
        _ = try EditedRequest(
            logs(
                #"{"timeUnixNano":"5","body":{"stringValue":"a"}}"#,
                #"{"timeUnixNano":"6","body":{"stringValue":"a"}}"#),
            .logs, transform)
        transform.flush()
        let json = EditedRequest.json(
            try #require(sink.taken.first).slices.flatMap { Array(buffer: $0.bytes) }, .logs)
        #expect(
            json.contains(#""timeUnixNano":"5""#) && json.contains(#""key":"n","value":{"intValue":"2"}"#),
            "\(json)")
    }

    /// Held without a bound, one noisy client would take the memory of all.
    @Test("a store that is full sends on early, and the request comes again")
    func bounds() throws {
        let transform = make("max_records: 2")
        #expect(try EditedRequest(logs(record("a"), record("b")), .logs, transform).refusal == nil)
        let refusal = try EditedRequest(logs(record("c")), .logs, transform).refusal
        #expect(refusal?.reason == .queueFull && refusal?.isPermanent == false)
        loop.run()
        #expect(sink.takenItems == [2])
        #expect(try EditedRequest(logs(record("c")), .logs, transform).refusal == nil)
    }

    @Test("what nobody takes is kept and tried again")
    func refused() throws {
        let transform = make("")
        _ = try EditedRequest(logs(record("a")), .logs, transform)
        sink.refusal = Refusal(.queueFull, "full")
        transform.flush()
        #expect(sink.taken.isEmpty)
        sink.refusal = nil
        loop.advanceTime(by: .milliseconds(200))
        #expect(sink.takenItems == [1])
    }

    /// Otherwise `max_records` would bound nothing while a destination is away.
    @Test("while nobody takes what was sent on, no more is")
    func fullWhileRefused() throws {
        let transform = make("max_records: 2")
        sink.refusal = Refusal(.queueFull, "full")
        for body in ["a", "b", "c", "d", "e", "f", "g"] {
            _ = try EditedRequest(logs(record(body)), .logs, transform)
            loop.run()
        }
        loop.advanceTime(by: .seconds(30))
        sink.refusal = nil
        loop.advanceTime(by: .milliseconds(200))
        #expect(sink.takenItems == [2])
        transform.flush()
        #expect(sink.takenItems == [2, 2])
    }

    @Test("records leave when the interval is over")
    func interval() throws {
        let transform = make("interval: 3s")
        transform.start()
        _ = try EditedRequest(logs(record("a")), .logs, transform)
        loop.advanceTime(by: .seconds(2))
        #expect(sink.taken.isEmpty)
        loop.advanceTime(by: .seconds(2))
        #expect(sink.takenItems == [1])
    }

    @Test(
        "configurations that are not valid are refused",
        arguments: [
            ("interval: 0s", "interval must be greater than 0"),
            ("interval: -1s", "interval must be greater than 0"),
            ("log_count_attribute: ''", "log_count_attribute must be set"),
            ("timezone: Mars/Base", "timezone is invalid: unknown time zone Mars/Base"),
            ("exclude_fields: [body]", "cannot exclude the entire body"),
            ("exclude_fields: [name.x]", "must start with body or attributes"),
            ("exclude_fields: [body.a, body.a]", "duplicate exclude_fields: body.a"),
            ("{exclude_fields: [body.a], include_fields: [body.b]}", "cannot define both"),
            ("conditions: ['body ==']", "unable to parse OTTL condition"),
        ])
    func notValid(yaml: String, expected: String) {
        #expect(read(yaml).1.render().contains(expected), "\(read(yaml).1.render())")
    }
}
