internal import OTLP

/// What Prometheus calls the type of a family.
enum FamilyType: String, Sendable {
    case counter
    case gauge
    case histogram
    case summary
    case unknown
}

/// Series of one name. Under the store's lock only.
final class Family {
    let name: String
    let type: FamilyType
    /// HELP as the first metric gave it; empty for none.
    let help: [UInt8]
    /// The unit as names show it; empty for none.
    let unit: String
    /// Tells families of one name apart that lived one after the other.
    let id: UInt64
    /// Its series: the primaries, in the order in which they came.
    var first = noIndex
    var last = noIndex
    /// Memory, about.
    var bytes: Int { name.utf8.count + help.count + unit.utf8.count + 256 }
    /// Records, secondary ones included. The store knows the family while there are any.
    var records = 0

    init(name: String, type: FamilyType, help: [UInt8], unit: String, id: UInt64) {
        self.name = name
        self.type = type
        self.help = help
        self.unit = unit
        self.id = id
    }
}

/// A metric as senders describe it: name, unit, kind, temporality. Under the store's lock only.
///
/// The store knows it while series refer to it.
final class Descriptor {
    enum Kind {
        case number
        case histogram
        case exponential
        case summary
    }

    let id: UInt64
    let key: SeriesKey
    let family: Family
    let kind: Kind
    let isDelta: Bool
    /// Of the name and unit.
    let nameHash: WireHash
    /// Its number while the store knows it.
    var index = noIndex
    /// Records and aliases that refer to it.
    var references = 0

    init(id: UInt64, key: SeriesKey, family: Family, kind: Kind, isDelta: Bool, nameHash: WireHash) {
        self.id = id
        self.key = key
        self.family = family
        self.kind = kind
        self.isDelta = isDelta
        self.nameHash = nameHash
    }
}

/// A resource and a scope: the labels that all series of theirs have in common. Under the store's lock only.
///
/// The store knows it while series refer to it.
final class Context {
    let id: UInt64
    let key: SeriesKey
    /// Sorted by name.
    let labels: [Label]
    /// The same as text formats write them.
    let text: [UInt8]
    let hasQuotedNames: Bool
    /// Keys of the resource that are labels here: a point's attributes of these keys give way, as in the Collector.
    let convertedKeys: Set<[UInt8]>
    /// Of what tells this scope's sources from those of others.
    let sourceHash: WireHash
    /// Tells the processes of one instance apart, one after the other; 0 when the resource does not.
    let process: UInt32
    /// What `target_info` says about the resource; nil for nothing.
    let target: TargetInfo?
    /// Its number while the store knows it.
    var index = noIndex
    /// Records and aliases that refer to it.
    var references = 0

    init(
        id: UInt64, key: SeriesKey, labels: [Label], text: [UInt8], hasQuotedNames: Bool,
        convertedKeys: Set<[UInt8]>, sourceHash: WireHash, process: UInt32, target: TargetInfo?
    ) {
        self.id = id
        self.key = key
        self.labels = labels
        self.text = text
        self.hasQuotedNames = hasQuotedNames
        self.convertedKeys = convertedKeys
        self.sourceHash = sourceHash
        self.process = process
        self.target = target
    }
}

/// The `target_info` of one job and instance.
struct TargetInfo {
    /// Of job and instance.
    let key: SeriesKey
    /// All labels, sorted by name.
    let labels: [Label]
}

/// A label of a series: names as the namer gives them, values as UTF-8 text.
struct Label: Equatable {
    var name: String
    var value: [UInt8]
}
