internal import OTLP

/// What happened to one item, and how it is told to it.
struct RedactionSummary {
    /// Names of the attributes of one place.
    struct Names: Sendable {
        let redacted: Pair
        let masked: Pair
        let allowed: Pair
        let ignored: OwnedBytes

        struct Pair: Sendable {
            let keys: OwnedBytes
            let count: OwnedBytes

            init(_ prefix: String) {
                keys = OwnedBytes(prefix + ".keys")
                count = OwnedBytes(prefix + ".count")
            }
        }

        init(_ prefix: String) {
            redacted = Pair(prefix + ".redacted")
            masked = Pair(prefix + ".masked")
            allowed = Pair(prefix + ".allowed")
            ignored = OwnedBytes(prefix + ".ignored.count")
        }
    }

    static let attributeNames = Names("redaction")
    static let bodyNames = Names("redaction.body")

    /// All attributes that this processor adds.
    static let keys: [String] = [attributeNames, bodyNames].flatMap { names in
        [names.redacted, names.masked, names.allowed].flatMap { [$0.keys.text, $0.count.text] }
            + [names.ignored.text]
    }

    private let level: RedactionConfig.Summary
    private var redacted: [[UInt8]] = []
    private var masked: [[UInt8]] = []
    private var allowed: [[UInt8]] = []
    private var counts = (redacted: 0, masked: 0, allowed: 0, ignored: 0)

    init(_ level: RedactionConfig.Summary) { self.level = level }

    mutating func redacted(_ key: @autoclosure () -> [UInt8]) {
        counts.redacted += 1
        if level == .debug { redacted.append(key()) }
    }

    mutating func masked(_ key: @autoclosure () -> [UInt8]) {
        counts.masked += 1
        if level == .debug { masked.append(key()) }
    }

    mutating func allowed(_ key: @autoclosure () -> [UInt8]) {
        counts.allowed += 1
        if level == .debug { allowed.append(key()) }
    }

    mutating func ignored() { counts.ignored += 1 }

    /// Adds it to attributes; what another processor of this kind has told already is added up.
    func write(_ names: Names, to request: RequestEditor, _ table: AttributeTable) {
        guard level == .info || level == .debug else { return }
        write(names.redacted, counts.redacted, redacted, to: request, table)
        write(names.masked, counts.masked, masked, to: request, table)
        write(names.allowed, counts.allowed, allowed, to: request, table)
        if counts.ignored > 0 { add(counts.ignored, names.ignored, to: request, table) }
    }

    private func write(
        _ names: Names.Pair, _ count: Int, _ keys: [[UInt8]], to request: RequestEditor,
        _ table: AttributeTable
    ) {
        guard count > 0 else { return }
        if level == .debug {
            var all = keys
            if case .string(let known)? = request.value(names.keys.bytes, in: table), known.count > 0 {
                all += known.array.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map(
                    Array.init)
            }
            all.sort { $0.lexicographicallyPrecedes($1) }
            let text = request.keep(Array(all.joined(separator: [UInt8(ascii: ",")])))
            request.set(names.keys.bytes, to: .string(text), in: table)
        }
        add(count, names.count, to: request, table)
    }

    private func add(_ count: Int, _ name: OwnedBytes, to request: RequestEditor, _ table: AttributeTable) {
        var sum = Int64(count)
        if case .int(let known)? = request.value(name.bytes, in: table) { sum &+= known }
        request.set(name.bytes, to: .int(sum), in: table)
    }
}
