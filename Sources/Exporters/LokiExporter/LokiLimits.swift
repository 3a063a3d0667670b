/// What Loki takes in a push, with its own names and defaults; key `limits`.
///
/// What is over a limit is changed before it is sent, by these rules, and counted by its reason:
///
/// - a line is cut, between two characters;
/// - a label is made structured metadata instead (dropped by `mapping: legacy`, which has none), also one whose name
///   another one has;
/// - of structured metadata, the pairs that fit no more are dropped: an entry's own fields come first, then the
///   record's attributes, then the scope, then the resource.
package struct LokiLimits: Sendable, Equatable {
    /// Labels of a stream beside `service_name`. Default 15, 1…128. Key `max_label_names_per_series`.
    package var labels = 15
    /// Bytes of a label's name. Default 1024, 1…65536. Key `max_label_name_length`.
    package var labelNameBytes = 1024
    /// Bytes of a label's value. Default 2048, 1…65536. Key `max_label_value_length`.
    package var labelValueBytes = 2048
    /// Bytes of a line. Default 262144, 1…16 MiB. Key `max_line_size`.
    package var lineBytes = 256 << 10
    /// Bytes of an entry's names and values. Default 65536, 0…1 MiB. Key `max_structured_metadata_size`.
    package var metadataBytes = 64 << 10
    /// Pairs of an entry. Default 128, 0…4096. Key `max_structured_metadata_entries_count`.
    package var metadataPairs = 128

    package init() {}

    /// Why something was changed; the label `reason` of the counter.
    enum Reason: String, CaseIterable, Sendable {
        case lineSize = "line_size"
        case labelCount = "label_count"
        case labelNameLength = "label_name_length"
        case labelValueLength = "label_value_length"
        /// Two attributes whose keys make the same name.
        case labelCollision = "label_collision"
        case metadataSize = "structured_metadata_size"
        case metadataCount = "structured_metadata_count"
        /// A name that `loki.tenant` gives and Loki does not take: the record goes to the configured tenant.
        case tenant
    }

    /// How often something was changed, by reason.
    struct Changes: Sendable, Equatable {
        private var counts = InlineArray<8, Int>(repeating: 0)
        private(set) var isEmpty = true

        init() {}

        subscript(reason: Reason) -> Int { counts[Self.index(reason)] }

        mutating func add(_ reason: Reason, _ count: Int = 1) {
            guard count > 0 else { return }
            isEmpty = false
            counts[Self.index(reason)] += count
        }

        /// Adds the changes of another.
        mutating func add(_ other: Changes) {
            guard !other.isEmpty else { return }
            for reason in Reason.allCases { add(reason, other[reason]) }
        }

        static func == (left: Changes, right: Changes) -> Bool {
            Reason.allCases.allSatisfy { left[$0] == right[$0] }
        }

        private static func index(_ reason: Reason) -> Int {
            switch reason {
            case .lineSize: 0
            case .labelCount: 1
            case .labelNameLength: 2
            case .labelValueLength: 3
            case .metadataSize: 4
            case .metadataCount: 5
            case .tenant: 6
            case .labelCollision: 7
            }
        }
    }
}
