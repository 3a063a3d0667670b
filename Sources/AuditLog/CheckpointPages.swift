/// The checkpoints that a verification compares, by size: those of the store, a page at a time, and those that were kept elsewhere.
/// Each has a good signature.
struct CheckpointPages {
    typealias Placed = (checkpoint: Checkpoint, place: String)

    private let store: any AuditStore
    private let keyring: Keyring
    private let given: [String]
    private var origin = ""
    private var last: UInt64 = 0
    /// What comes next, of either kind, by size.
    private var foreign: ArraySlice<Placed> = []
    private var page: ArraySlice<Placed> = []
    /// The size from which on the store was not asked yet; nil when there is no more.
    private var asksFrom: UInt64? = 0
    private var read = 0

    /// Those that were compared.
    private(set) var count = 0
    /// What is wrong with those that are none, in sentences.
    private(set) var problems: [String] = []

    private static let pageSize = 1000

    init(_ store: any AuditStore, keyring: Keyring, foreign: [String]) {
        self.store = store
        self.keyring = keyring
        given = foreign
    }

    /// - Parameter last: the size of the last one of the store that is looked at; a writer may go on.
    mutating func begin(_ origin: String, upTo last: UInt64) throws(AuditStoreError) {
        self.origin = origin
        self.last = last
        var checked: [Placed] = []
        for (index, note) in given.enumerated() {
            let place = "checkpoint \(index + 1) of those that were given"
            if let checkpoint = check(note, place) { checked.append((checkpoint, place)) }
        }
        foreign = checked.sorted { $0.checkpoint.size < $1.checkpoint.size }[...]
    }

    /// The next one.
    mutating func next() throws(AuditStoreError) -> Placed? {
        while page.isEmpty, let from = asksFrom { try load(from) }
        guard let own = page.first else { return foreign.first }
        guard let other = foreign.first, other.checkpoint.size < own.checkpoint.size else { return own }
        return other
    }

    /// Goes on behind the next one.
    mutating func advance() {
        count += 1
        if let own = page.first, own.checkpoint.size <= foreign.first?.checkpoint.size ?? .max {
            page.removeFirst()
        } else {
            _ = foreign.popFirst()
        }
    }

    private mutating func load(_ from: UInt64) throws(AuditStoreError) {
        // Those of one size never fill a page: a writer makes one only for new entries.
        let stored = try store.checkpoints(fromSize: from, limit: Self.pageSize)
        asksFrom = stored.count < Self.pageSize ? nil : stored.last.map { $0.size + 1 }
        var checked: [Placed] = []
        for each in stored where each.size <= last {
            read += 1
            let place = "checkpoint \(read) of the store"
            guard let checkpoint = check(each.note, place) else { continue }
            guard checkpoint.size == each.size else {
                report("\(place) says the size \(checkpoint.size), its row \(each.size)")
                continue
            }
            checked.append((checkpoint, place))
        }
        if let size = stored.last?.size, size > last { asksFrom = nil }
        page = checked[...]
    }

    private mutating func check(_ note: String, _ place: String) -> Checkpoint? {
        do throws(KeyError) {
            let checkpoint = try keyring.checkpoint(of: note)
            guard checkpoint.origin == origin else {
                report("\(place) is of the log \"\(checkpoint.origin)\", not of \"\(origin)\"")
                return nil
            }
            return checkpoint
        } catch {
            report("\(place) \(error)")
            return nil
        }
    }

    private mutating func report(_ problem: String) {
        if problems.count < AuditVerifier.findingsMax { problems.append(problem) }
    }
}
