import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import LokiExporter

/// Without these one record that Loki does not take would cost its whole push.
@Suite("Loki's limits, applied before sending")
struct LimitTests {
    private func text(_ count: Int) -> String { String(repeating: "x", count: count) }

    @Test("a long line is cut between two characters", arguments: [true, false])
    func line(isText: Bool) {
        var settings = EncoderSettings()
        settings.limits.lineBytes = 10
        let long = "aaaaaaaa€€"  // 8 + 3 + 3 bytes
        let (pushes, changes) = encode(
            [
                request(
                    records: {
                        $0.message(5) { body in
                            if isText { body.text(1, long) } else { body.field(7, Array(long.utf8)) }
                        }
                    }, { $0.body(String(long.prefix(8))) })
            ], settings)
        let lines = pushes[0].streams[0].entries.map(\.line)
        #expect(lines == [isText ? "aaaaaaaa" : "YWFhYWFhYW", "aaaaaaaa"])
        #expect(changes[.lineSize] == 1)
    }

    @Test("labels beyond the limits are metadata; the service stays a label")
    func labels() {
        var settings = EncoderSettings()
        settings.resourceRules.rules = [
            .init(action: .indexLabel, attributes: (0..<30).map { "l\($0)" } + ["service.name", text(1025)])
        ]
        let (pushes, changes) = encode(
            [
                request(
                    resource: {
                        $0.attribute(1, "l0", text(2049))
                        $0.attribute(1, text(1025), "v")
                        for index in 1..<18 { $0.attribute(1, "l\(index)", "v") }
                        $0.attribute(1, "service.name", "shop")
                    }, records: { _ in }, { _ in })
            ], settings)
        let stream = pushes[0].streams[0]
        // Loki does not count the service.
        #expect(stream.labels.split(separator: ",").count == 16)
        #expect(stream.labels.contains(#"service_name="shop""#))
        #expect(stream.entries.count == 2)
        for entry in stream.entries {
            #expect(
                Set(entry.metadata) == [
                    "l0=" + text(2049), text(1025) + "=v", "l16=v", "l17=v",
                ])
        }
        // For each entry.
        #expect(changes[.labelValueLength] == 2 && changes[.labelNameLength] == 2)
        #expect(changes[.labelCount] == 4)
    }

    /// If it failed, values would vanish without a word where two keys make one name.
    @Test("of labels of one name the last is the label, the others are metadata", arguments: [false, true])
    func collision(isHinted: Bool) {
        var settings = EncoderSettings()
        settings.resourceRules.rules = [.init(action: .indexLabel, attributes: ["a.b", "a_b", "a-b", "c"])]
        let (pushes, changes) = encode(
            [
                request(
                    resource: {
                        $0.attribute(1, "a.b", "first")
                        $0.attribute(1, "a_b", "second")
                        $0.attribute(1, "c", "same")
                        if !isHinted { $0.attribute(1, "a-b", "") }
                    },
                    records: { record in
                        guard isHinted else { return }
                        record.attribute(6, "loki.attribute.labels", "a/b, c")
                        record.attribute(6, "a/b", "third")
                        record.attribute(6, "c", "same")
                    })
            ], settings)
        let stream = pushes[0].streams[0]
        #expect(stream.labels == "{a_b=\"\(isHinted ? "third" : "second")\", c=\"same\"}")
        #expect(stream.entries[0].metadata.sorted() == ["a_b=first"] + (isHinted ? ["a_b=second"] : []))
        #expect(changes[.labelCollision] == (isHinted ? 2 : 1))
    }

    /// If it failed, the count of refused names of tenants would grow with the number of pushes.
    @Test("records of a tenant that Loki does not take are counted once")
    func tenants() {
        let settings = {
            var settings = EncoderSettings()
            settings.tenantMetadataKey = "team"
            settings.pushEntries = 3
            return settings
        }()
        let bytes = request(resource: { _ in }, lines: (0..<10).map { "\($0)" })
        let payload = Payload(ByteBuffer(bytes: bytes))
        payload.metadata = ClientMetadata([.init("team", "a b")])
        let batch = Batch(.logs)
        batch.append(Slice(payload, offset: 0, count: bytes.count, items: 10))
        #expect(encode(batch, settings).changes[.tenant] == 10)
    }

    @Test("of too much metadata the resource's goes first, the record's own fields last")
    func metadataCount() {
        let (pushes, changes) = encode([
            request(
                resource: {
                    $0.attribute(1, "service.name", "shop")
                    for index in 0..<100 { $0.attribute(1, "r\(index)", "v") }
                },
                scope: { $0.text(1, "lib") },
                records: { record in
                    for index in 0..<120 { record.attribute(6, "a\(index)", "v") }
                    record.field(9, Array(1...16))
                    record.text(3, "INFO")
                })
        ])
        let metadata = pushes[0].streams[0].entries[0].metadata
        #expect(metadata.count == 128)
        #expect(metadata.prefix(2) == ["severity_text=INFO", "trace_id=0102030405060708090a0b0c0d0e0f10"])
        #expect(metadata[121] == "a119=v" && metadata[122] == "r0=v" && metadata[127] == "scope_name=lib")
        #expect(changes[.metadataCount] == 95 && changes[.metadataSize] == 0)
    }

    @Test("what of the metadata fits is kept, though something before it does not")
    func metadataSize() {
        let (pushes, changes) = encode([
            request(records: {
                $0.attribute(6, "huge", text(65_533))
                $0.attribute(6, "small", "v")
                $0.attribute(6, "fits", text(65_000))
            })
        ])
        let entry = pushes[0].streams[0].entries[0]
        #expect(entry["huge"] == nil && entry["small"] == "v" && entry["fits"]?.count == 65_000)
        #expect(changes[.metadataSize] == 1)
    }

    @Test("exactly Loki's own limits pass unchanged")
    func exactly() {
        let (pushes, changes) = encode([
            request(records: { record in
                record.body(text(256 << 10))
                record.attribute(6, "a", text(65_535 - 254))
                let names = "bcdefghijklmn".flatMap { letter in (0..<10).map { "\(letter)\($0)" } }
                for name in names.prefix(127) { record.attribute(6, name, "") }
            })
        ])
        let entry = pushes[0].streams[0].entries[0]
        #expect(changes.isEmpty)
        #expect(entry.line.utf8.count == 256 << 10 && entry.metadata.count == 128)
    }

    /// Nested maps repeat the names on the way in every name: written out, 64 KB would become gigabytes.
    @Test("deep and wide maps cannot grow beyond the limits")
    func nesting() {
        var inner = ProtoWriter()
        for index in 0..<2000 { inner.attribute(1, "k\(index)", "v") }
        var value = inner.bytes
        for _ in 0..<30 {
            var outer = ProtoWriter()
            outer.message(1) {
                $0.text(1, text(1000))
                $0.message(2) { $0.field(6, value) }
            }
            value = outer.bytes
        }
        let (pushes, changes) = encode([
            request(records: {
                $0.message(6) {
                    $0.text(1, "m")
                    $0.message(2) { $0.field(6, value) }
                }
            })
        ])
        let metadata = pushes[0].streams[0].entries[0].metadata
        #expect(metadata.reduce(0) { $0 + $1.utf8.count - 1 } <= 65_536)
        #expect(metadata.count + changes[.metadataSize] + changes[.metadataCount] == 2000)
    }
}
