internal import Hashing
package import OTLP

/// Why a log record cannot be kept as an audit event, in a sentence for whoever sent it.
package struct EventProblem: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
}

/// Reads audit events from log records: the OpenTelemetry draft's attributes, or the platform's JSON event in the body (`PlatformEvent`).
package enum AuditEventReader {
    package static let actorTypes = ["user", "service", "system"]
    package static let outcomes = ["success", "failure", "unknown"]

    /// The events of an `ExportLogsServiceRequest` that was checked.
    /// - Throws: what is wrong with the first record that is no event; none is kept then.
    package static func events(of request: WireBytes) throws(EventProblem) -> [AuditEvent] {
        var events: [AuditEvent] = []
        var bytes = 0
        for entry in request.fields where entry.number == Field.Request.resources {
            var attributes = Attributes()
            for field in entry.bytes.fields where field.number == Field.ResourceEntry.resource {
                for part in field.bytes.fields where part.number == Field.Resource.attributes {
                    attributes.add(Attribute(part.bytes))
                }
            }
            let resource = try attributes.resource()
            for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes {
                for record in scope.bytes.fields where record.number == Field.ScopeEntry.entries {
                    // Checked before it is read, which takes many times as much.
                    guard record.bytes.count <= 2 * AuditRow.entryBytesMax else {
                        throw tooLarge("an audit event", record.bytes.count)
                    }
                    let event = try event(record.bytes, resource)
                    bytes += AuditRow.entryBytes(of: event)
                    guard bytes <= requestBytesMax else {
                        throw EventProblem(
                            description:
                                "the entries of a request take more than \(requestBytesMax) bytes, each with "
                                + "its resource; send fewer records at a time")
                    }
                    events.append(event)
                }
            }
        }
        return events
    }

    /// One record as an event.
    private static func event(_ message: WireBytes, _ resource: [UInt8]) throws(EventProblem) -> AuditEvent {
        var record = AuditRecord(message)
        if !record.attributes.hasAuditKeys, let event = try PlatformEvent(record.body) {
            try event.complete(&record)
        }
        // Of SDKs from before records had a field for it.
        if record.eventName.isEmpty, let name = record.attributes.text("event.name") {
            record.eventName = name
        }
        let id = try check(record)
        let event = AuditEvent(
            recordID: id, record: try record.canonical(place: "audit.record.id \(id)"), resource: resource)
        let bytes = AuditRow.entryBytes(of: event)
        guard bytes <= AuditRow.entryBytesMax else { throw tooLarge("the audit event \(id)", bytes) }
        return event
    }

    /// What the entries of one request may take together.
    private static let requestBytesMax = 32 << 20

    private static func tooLarge(_ what: String, _ bytes: Int) -> EventProblem {
        EventProblem(
            description:
                "\(what) has \(bytes) bytes as an entry, more than \(AuditRow.entryBytesMax); keep large "
                + "data elsewhere and put its hash into the event")
    }

    private static func check(_ record: AuditRecord) throws(EventProblem) -> RecordID {
        let attributes = record.attributes
        guard let id = attributes.text("audit.record.id"), let actorID = attributes.text("audit.actor.id"),
            let actorType = attributes.text("audit.actor.type"), let action = attributes.text("audit.action"),
            let outcome = attributes.text("audit.outcome"), !id.isEmpty, !actorID.isEmpty, !actorType.isEmpty,
            !action.isEmpty, !outcome.isEmpty, !record.eventName.isEmpty, record.time != 0
        else { throw incomplete(record) }
        func refuse(_ key: String, _ value: String, _ expected: String) -> EventProblem {
            EventProblem(
                description:
                    "the record \(id) is no audit event: \(key) is \"\(value.prefix(100))\"; must be \(expected)"
            )
        }
        guard let recordID = RecordID(text: Array(id.utf8)) else {
            throw refuse("audit.record.id", id, "a UUID")
        }
        guard actorTypes.contains(actorType) else {
            throw refuse("audit.actor.type", actorType, "user, service or system")
        }
        guard outcomes.contains(outcome) else {
            throw refuse("audit.outcome", outcome, "success, failure or unknown")
        }
        // Of ASCII no character has to be looked up.
        let isUpper =
            action.utf8.allSatisfy { $0 < 128 && !(97...122 ~= $0) } || action == action.uppercased()
        guard isUpper else { throw refuse("audit.action", action, "upper-case, such as UPDATE") }
        return recordID
    }

    private static func incomplete(_ record: AuditRecord) -> EventProblem {
        let required: [StaticString] = [
            "audit.record.id", "audit.actor.id", "audit.actor.type", "audit.action", "audit.outcome",
        ]
        var missing = required.filter { (record.attributes.text($0) ?? "").isEmpty }.map {
            "the attribute \($0)"
        }
        if record.eventName.isEmpty { missing.append("the event name") }
        if record.time == 0 { missing.append("the timestamp") }
        let name = record.attributes.text("audit.record.id").map { "the record \($0)" } ?? "a log record"
        return EventProblem(
            description: "\(name) is no audit event: \(missing.joined(separator: ", ")) "
                + (missing.count == 1 ? "is missing" : "are missing"))
    }
}
