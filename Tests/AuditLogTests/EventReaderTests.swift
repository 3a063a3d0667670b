import OTLP
import Testing

@testable import AuditLog

/// Without these an application's event would be refused that is right, or kept without what it says.
@Suite("Event reader")
struct EventReaderTests {
    static let attributes = [
        "audit.record.id": "550e8400-e29b-41d4-a716-446655440000", "audit.actor.id": "user-123",
        "audit.actor.type": "user", "audit.action": "UPDATE", "audit.outcome": "success",
    ]

    static func json(
        _ attributes: [String: String], _ more: String = "\"eventName\":\"a.b\",\"timeUnixNano\":\"7\""
    )
        -> String
    {
        let list = attributes.map { "{\"key\":\"\($0.key)\",\"value\":{\"stringValue\":\"\($0.value)\"}}" }
        return
            "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s\"}}]},"
            + "\"scopeLogs\":[{\"logRecords\":[{\"attributes\":[\(list.joined(separator: ","))],\(more)}]}]}]}"
    }

    static func events(_ json: String) throws -> [AuditEvent] {
        var output = [UInt8](repeating: 0, count: json.utf8.count * 4 + 64)
        let count = try output.withUnsafeMutableBytes { output in
            try Array(json.utf8).withUnsafeBytes { try readOTLPJSON($0, as: .logs, into: output) }
        }
        return try output[..<count].withUnsafeBytes { try AuditEventReader.events(of: WireBytes($0)) }
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The draft's form, in the bytes that README.md promises.
    @Test("a record with the draft's attributes is an event")
    func draft() throws {
        let event = try #require(try Self.events(Self.json(Self.attributes)).first)
        #expect(
            Self.text(event.record)
                == "{\"attributes\":{\"audit.action\":{\"stringValue\":\"UPDATE\"},\"audit.actor.id\":{\"stringValue\":\"user-123\"},"
                + "\"audit.actor.type\":{\"stringValue\":\"user\"},\"audit.outcome\":{\"stringValue\":\"success\"},"
                + "\"audit.record.id\":{\"stringValue\":\"550e8400-e29b-41d4-a716-446655440000\"}},"
                + "\"event_name\":\"a.b\",\"timestamp\":\"7\"}")
        #expect(Self.text(event.resource) == "{\"attributes\":{\"service.name\":{\"stringValue\":\"s\"}}}")
        #expect("\(event.recordID)" == "550e8400-e29b-41d4-a716-446655440000")
    }

    /// Whoever sends it must learn which attribute it is.
    @Test(
        "what is missing is named",
        arguments: ["audit.record.id", "audit.actor.id", "audit.actor.type", "audit.action", "audit.outcome"])
    func missing(key: String) {
        var attributes = Self.attributes
        attributes[key] = nil
        let error = #expect(throws: EventProblem.self) { try Self.events(Self.json(attributes)) }
        #expect(error?.description.contains("the attribute \(key) is missing") == true)
    }

    /// A value of another kind would make searches and reports wrong.
    @Test(
        "a wrong value is named, with what it must be",
        arguments: [
            ("audit.record.id", "7", "a UUID"), ("audit.actor.type", "robot", "user, service or system"),
            ("audit.outcome", "ok", "success, failure or unknown"), ("audit.action", "update", "upper-case"),
        ])
    func wrong(key: String, value: String, expected: String) {
        var attributes = Self.attributes
        attributes[key] = value
        let error = #expect(throws: EventProblem.self) { try Self.events(Self.json(attributes)) }
        #expect(error?.description.contains("\(key) is \"\(value)\"; must be \(expected)") == true)
    }

    /// Name and time are fields of the record, not attributes.
    @Test("a record without name or time is refused; an older SDK's name is taken")
    func fields() throws {
        var error = #expect(throws: EventProblem.self) {
            try Self.events(Self.json(Self.attributes, "\"timeUnixNano\":\"7\""))
        }
        #expect(error?.description.contains("the event name is missing") == true)
        error = #expect(throws: EventProblem.self) {
            try Self.events(Self.json(Self.attributes, "\"eventName\":\"a\""))
        }
        #expect(error?.description.contains("the timestamp is missing") == true)
        var older = Self.attributes
        older["event.name"] = "a.b"
        #expect(try Self.events(Self.json(older, "\"timeUnixNano\":\"7\"")).count == 1)
    }

    /// An ordinary log line must not slip into the audit log.
    @Test("a log line is refused")
    func logLine() {
        let error = #expect(throws: EventProblem.self) {
            try Self.events(Self.json([:], "\"body\":{\"stringValue\":\"hello\"},\"timeUnixNano\":\"7\""))
        }
        #expect(error?.description.contains("audit.record.id") == true)
    }

    /// Ten megabytes do not go into an entry.
    @Test("an event that is too large is refused with the limit")
    func tooLarge() {
        var attributes = Self.attributes
        attributes["text"] = String(repeating: "x", count: 70_000)
        let error = #expect(throws: EventProblem.self) { try Self.events(Self.json(attributes)) }
        #expect(error?.description.contains("more than 65535") == true)
    }

    /// All kinds of values, as they are documented.
    @Test("values have the form of OTLP JSON, in canonical JSON")
    func values() throws {
        let value =
            "{\"kvlistValue\":{\"values\":[{\"key\":\"z\",\"value\":{\"arrayValue\":{\"values\":[{\"intValue\":\"-5\"},{\"doubleValue\":1.50},{\"boolValue\":true},{\"bytesValue\":\"AQI=\"},{}]}}},"
            + "{\"key\":\"a\",\"value\":{\"doubleValue\":\"NaN\"}}]}}"
        let event = try #require(
            try Self.events(
                Self.json(
                    Self.attributes,
                    "\"eventName\":\"a\",\"timeUnixNano\":\"7\",\"severityNumber\":9,\"severityText\":\"Info\",\"body\":\(value),\"flags\":1,\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"0102030405060708\",\"observedTimeUnixNano\":\"8\""
                )
            ).first)
        #expect(
            Self.text(event.record).hasSuffix(
                ",\"body\":{\"kvlistValue\":{\"values\":[{\"key\":\"z\",\"value\":{\"arrayValue\":{\"values\":[{\"intValue\":\"-5\"},{\"doubleValue\":1.5},{\"boolValue\":true},{\"bytesValue\":\"AQI=\"},{}]}}},"
                    + "{\"key\":\"a\",\"value\":{\"doubleValue\":\"NaN\"}}]}},\"event_name\":\"a\",\"flags\":1,\"observed_timestamp\":\"8\","
                    + "\"severity_number\":9,\"severity_text\":\"Info\",\"span_id\":\"0102030405060708\",\"timestamp\":\"7\",\"trace_id\":\"0102030405060708090a0b0c0d0e0f10\"}"
            ))
    }

    static let platformEvent = """
        {"timestamp": "2026-02-12T10:30:45.123Z", "traceId": "550e8400-e29b-41d4-a716-446655440000",
         "spanId": "f9d56a78-5b1c-4a2e-9f1d-3c5e7b8a9c0d",
         "actor": {"type": "user", "id": "user-123", "email": "admin@example.com"},
         "resource": {"type": "deployment", "namespace": "platform-01-prod", "name": "api", "version": "v1.0.0"},
         "action": "update", "decision": "approved", "policyVersion": "v2.1.0",
         "complianceTags": ["SOC2", "ISO27001"],
         "details": {"oldReplicas": 2, "newReplicas": 3, "reason": "scaling for peak load"},
         "signature": "abc"}
        """

    static func body(_ event: String) -> String {
        var json = CanonicalJSON()
        json.append(string: event)
        return "\"body\":{\"stringValue\":\(text(json.bytes))},\"timeUnixNano\":\"9\""
    }

    /// The platform's guide has this event; its senders know nothing of the draft.
    @Test("the platform's JSON event in the body is an event")
    func platform() throws {
        let event = try #require(try Self.events(Self.json([:], Self.body(Self.platformEvent))).first)
        let row = AuditRow(event, sequence: 1, previous: AuditRow.firstPreviousHash, recorded: 1)
        let columns = try EntryColumns(row.entry)
        #expect(columns.eventName == "deployment.update")
        #expect(columns.time == 1_770_892_245_123_000_000)
        #expect(columns.traceID == "550e8400e29b41d4a716446655440000")
        #expect(columns.spanID == nil)
        #expect(columns.complianceTags == ["SOC2", "ISO27001"])
        #expect((columns.actorType, columns.actorID) == ("user", "user-123"))
        #expect((columns.action, columns.outcome) == ("UPDATE", "unknown"))
        #expect((columns.targetType, columns.targetID) == ("k8s.deployment", "platform-01-prod/api"))
        #expect((columns.decision, columns.policyVersion) == ("approved", "v2.1.0"))
        for (key, value)
            in [
                "audit.record.id": "\(event.recordID)", "audit.actor.type": "user",
                "audit.actor.id": "user-123",
                "user.email": "admin@example.com", "audit.target.type": "k8s.deployment",
                "k8s.namespace.name": "platform-01-prod", "audit.target.id": "platform-01-prod/api",
                "audit.target.version": "v1.0.0", "audit.action": "UPDATE", "audit.outcome": "unknown",
                "audit.decision": "approved", "audit.policy.version": "v2.1.0",
                "audit.integrity.value": "abc",
                "audit.span.uuid": "f9d56a78-5b1c-4a2e-9f1d-3c5e7b8a9c0d",
            ]
        { #expect(Self.text(event.record).contains("\"\(key)\":{\"stringValue\":\"\(value)\"}")) }
        #expect(Self.text(event.record).contains("{\"key\":\"newReplicas\",\"value\":{\"intValue\":\"3\"}}"))
        // Sent again, it is the same record; another event is another one.
        let again = try Self.events(Self.json([:], Self.body(Self.platformEvent)))
        #expect(again.first?.recordID == event.recordID)
        #expect(again.first?.contentHash == event.contentHash)
        let other = try Self.events(
            Self.json([:], Self.body(Self.platformEvent.replacing("\"update\"", with: "\"delete\""))))
        #expect(other.first?.recordID != event.recordID)
    }

    /// Senders must learn what their event lacks.
    @Test(
        "what the platform's event lacks is named",
        arguments: [
            ("\"id\": \"user-123\", ", "", "actor.id is missing"),
            ("\"type\": \"deployment\", ", "", "resource.type is missing"),
            ("\"action\": \"update\", ", "", "action is missing"),
            ("2026-02-12T10", "2026-02-30T10", "must be a time of RFC 3339"),
            ("550e8400-", "x", "traceId"), ("f9d56a78-", "x", "spanId"), ("\"actor\"", "actor", "is no JSON"),
            ("\"type\": \"user\"", "\"type\": \"robot\"", "audit.actor.type is \"robot\""),
        ])
    func platformProblem(part: String, replacement: String, expected: String) {
        let event = Self.platformEvent.replacing(part, with: replacement)
        let error = #expect(throws: EventProblem.self) { try Self.events(Self.json([:], Self.body(event))) }
        #expect(error?.description.contains(expected) == true, "\(error.map { "\($0)" } ?? "")")
    }

    /// A wrong time in the log would be a wrong statement.
    @Test("times are read")
    func times() {
        #expect(RFC3339.nanoseconds("1970-01-01T00:00:00Z") == 0)
        #expect(RFC3339.nanoseconds("2024-02-29T12:00:00.5+08:00") == 1_709_179_200_500_000_000)
        #expect(RFC3339.nanoseconds("2023-02-29T12:00:00Z") == nil)
        #expect(RFC3339.nanoseconds("1969-12-31T23:59:59Z") == nil)
        #expect(RFC3339.nanoseconds("2024-02-29 noon and more") == nil)
        #expect(RFC3339.nanoseconds("1970-01-01T00:00:00+08:00") == nil)
    }
}
