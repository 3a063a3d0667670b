package import Configuration
internal import Pipeline
internal import StatementConfiguration
package import Statements

/// The keys of `log_dedup`.
package struct LogDeduplicationConfig: ComponentConfig {
    /// What the timestamp of a record says that stands for many.
    package enum TimestampMode: String, Sendable, CaseIterable {
        /// When it was sent on.
        case observed
        /// The first record's.
        case preserved
    }

    /// How long records are held. Default 10 s. Key `interval`.
    package var interval = Duration.seconds(10)
    /// Only records for which one of them holds are held; none: all. Key `conditions`.
    package var conditions: [Condition] = []
    /// The attribute with the number of records. Key `log_count_attribute`.
    package var countAttribute = "log_count"
    package var timestampMode = TimestampMode.observed
    /// Of the two times in attributes. Default UTC. Key `timezone`.
    package var zone = TimeZone.utc
    /// Fields that records may differ in, and lose. Key `exclude_fields`.
    package var excluded: [RecordField] = []
    /// The only fields by which records differ. Key `include_fields`.
    package var included: [RecordField] = []
    /// Header fields whose clients do not share records. Key `metadata_keys`.
    package var metadataKeys: [String] = []
    /// How many combinations of their values are held; 0 is no limit. Key `metadata_cardinality_limit`.
    package var metadataLimit = 0
    /// How many different records are held; more are sent on early. Ours. Key `max_records`.
    package var recordsMax = 100_000

    package init(_ section: ConfigSection) {
        interval = section.duration(
            "interval", default: interval,
            in: Duration(secondsComponent: Int64.min, attosecondsComponent: 0) ... .longest)
        if interval <= .zero {
            section.report("interval", error: "interval must be greater than 0")
            interval = .seconds(10)
        }
        for text in section.locatedTexts("conditions") ?? [] {
            do throws(StatementError) { conditions.append(try Condition(text.text, for: .log)) } catch {
                section.report(error, of: "condition", in: text)
            }
        }
        countAttribute = section.string("log_count_attribute", default: countAttribute)
        if countAttribute.isEmpty {
            section.report("log_count_attribute", error: "log_count_attribute must be set")
        }
        let name = section.string("timezone", default: "UTC")
        do throws(TimeZone.Unknown) { zone = try TimeZone(name) } catch {
            section.report(
                "timezone", error: "timezone is invalid: \(error)",
                help: "write a name of the system's database of zones, such as Europe/Berlin")
        }
        timestampMode = section.choice("timestamp_mode", default: timestampMode)
        excluded = Self.fields("exclude_fields", section)
        included = Self.fields("include_fields", section)
        if !excluded.isEmpty, !included.isEmpty {
            section.report("include_fields", error: "cannot define both exclude_fields and include_fields")
        }
        metadataKeys = section.stringList("metadata_keys").map { $0.lowercased() }
        metadataLimit = section.int("metadata_cardinality_limit", default: 0)
        recordsMax = section.int("max_records", default: recordsMax, in: 1...10_000_000)
        section.finish()
    }

    private static func fields(_ key: String, _ section: ConfigSection) -> [RecordField] {
        var fields: [RecordField] = []
        for text in section.stringList(key) {
            do throws(RecordFieldProblem) {
                let field = try RecordField(text)
                if fields.contains(field) {
                    section.report(key, error: "duplicate \(key): \(text)")
                } else {
                    fields.append(field)
                }
            } catch {
                section.report(key, error: error.description)
            }
        }
        return fields
    }

    package static func == (left: LogDeduplicationConfig, right: LogDeduplicationConfig) -> Bool {
        left.conditions.map(\.text) == right.conditions.map(\.text) && left.interval == right.interval
            && left.countAttribute == right.countAttribute && left.timestampMode == right.timestampMode
            && left.excluded == right.excluded && left.included == right.included
            && left.metadataKeys == right.metadataKeys && left.metadataLimit == right.metadataLimit
            && left.recordsMax == right.recordsMax
    }
}
