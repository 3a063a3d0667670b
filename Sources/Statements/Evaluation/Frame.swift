package import OTLP
internal import RegularExpression

/// What a statement runs on: the open request, the messages from the resource down to the item, and what lives as long as
/// one item. One pass has one; one thread.
package final class Frame {
    let editor: RequestEditor
    /// What the client sent, for the paths of `otelcol`; nil when it is not known.
    package var client: ClientFacts?
    /// A `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`, and its resource.
    private(set) var resourceGroup: MessageID
    private(set) var resource: MessageID
    /// A `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`, and its scope.
    private(set) var scopeGroup: MessageID
    private(set) var scope: MessageID
    /// A span, metric or log record.
    private(set) var item: MessageID
    /// A span event or data point; `index` is its place.
    private(set) var part: MessageID
    private(set) var index = 0
    private(set) var exemplar: MessageID
    /// The map of `cache`, emptied for each item.
    var cache: [MapEntry] = []
    /// The text that a function given as an argument is applied to.
    var slot = Value.null
    /// Metrics and records that functions have added to the current scope, and their bytes.
    private var (madeItems, madeBytes) = (0, 0)

    /// The maps that were read last of messages with many attributes: each item may ask for that of its resource.
    private var maps: [(generation: Int, map: Value)] = []
    /// Lists and maps of the request for which the memory limit was asked, by where they are: their bytes.
    private var asked: [UInt: Int] = [:]
    /// Entries of large maps that statements have looked at one by one.
    private var lookedAt = 0

    /// For a text that lives for one statement.
    let room = TextRoom()

    deinit { room.deallocate() }

    // MARK: - Memory

    /// Bytes of an item that is shown apart from its request.
    private let itemBytes: Int
    /// No shorter text is ever too long.
    private static let textBytesMin = 64 << 20
    /// The memory limit is not asked for less.
    static let unaskedBytes = 256 << 10
    /// Nor for a list or map of the request with fewer.
    private static let unaskedWireBytes = 4 << 10

    /// A longer text fails the statement that makes it. Texts of the request are never too long.
    var textBytesMax: Int { max(Self.textBytesMin, 2 * max(editor.openedBytes, itemBytes)) }

    /// Says how long a text is that is made, or what all values of `cache` take.
    @inline(__always)
    func admit(_ bytes: Int) throws(EvaluationError) {
        if bytes > Self.unaskedBytes { try admitLong(bytes) }
    }

    @inline(never)
    private func admitLong(_ bytes: Int) throws(EvaluationError) {
        guard bytes <= textBytesMax else {
            throw EvaluationError("a text of \(bytes) bytes is longer than \(textBytesMax)", isLimit: true)
        }
        try ask(bytes)
    }

    /// Asks for memory that the values take which a text is parsed to.
    func ask(parsing text: Bytes, bytesOfByte: Int) throws(EvaluationError) {
        let bytes = text.count * bytesOfByte
        if bytes > Self.unaskedBytes { try ask(bytes) }
    }

    /// Asks for memory of what a function is about to make: values, parts of texts, entries.
    /// - Parameters:
    ///   - bytesOfEach: with what memory management adds.
    ///   - bytes: of all that is copied into them.
    func ask(making count: Int, bytesOfEach: Int, copying bytes: Int = 0) throws(EvaluationError) {
        let all = count * bytesOfEach + bytes
        if all > Self.unaskedBytes { try ask(all) }
    }

    /// Asks for memory for a list or map of the request that is about to be read value by value.
    @inline(__always)
    func ask(reading value: Value) throws(EvaluationError) {
        switch value {
        case .list(.wire(let message)), .map(.wire(let message)):
            if message.count > Self.unaskedWireBytes { try ask(readingWire: value, message) }
        default: break
        }
    }

    @inline(never)
    private func ask(readingWire value: Value, _ message: WireBytes) throws(EvaluationError) {
        // Each item may read the same of its resource.
        let base = unsafe UInt(bitPattern: message.unsafeBytes.baseAddress)
        guard asked[base] != message.count else { return }
        try ask(making: value.wireValues, bytesOfEach: 3 * MemoryLayout<MapEntry>.stride)
        asked[base] = message.count
    }

    func ask(_ bytes: Int) throws(EvaluationError) {
        guard editor.mayHold(bytes) else {
            throw EvaluationError("there is no memory for \(bytes) bytes", isLimit: true)
        }
    }

    private static let mapsMax = 4
    /// Maps of fewer entries are not counted.
    private static let countedEntriesMin = 32
    /// Of the entries that statements may look at. Four that look at a resource of 45 attributes for each record make some 400 looks
    /// at a record of 200 bytes.
    private static let looksPerByte = 32
    /// In a small request, too.
    var looksMin = 1_000_000

    /// A map that was read before, as it is still.
    func map(_ generation: Int) -> Value? { maps.first { $0.generation == generation }?.map }

    func remember(_ map: Value, _ generation: Int) {
        if maps.count == Self.mapsMax { maps.removeFirst() }
        maps.append((generation, map))
    }

    /// Says that a statement looks at all entries of a map: what does so with a large one of a resource for each of its items would
    /// not end.
    func look(at entries: Int) throws(EvaluationError) {
        guard entries > Self.countedEntriesMin else { return }
        lookedAt += entries
        let most = max(looksMin, Self.looksPerByte * editor.openedBytes)
        guard lookedAt <= most else {
            throw EvaluationError(
                "the statements have looked at \(lookedAt) entries of maps in one request, more than \(most); name the keys, or use the context of the resource or scope whose map it is",
                isLimit: true)
        }
    }

    /// Begins to count anew: for who shows items of requests that are not open.
    package func forgetLooks() { lookedAt = 0 }

    /// Metrics and records that statements may add to one scope of a request: a function that matches its own results would not
    /// end.
    private static let madeItemsMax = 10_000

    /// Says how many items a statement is about to add to the scope, and their bytes: they are shown to the statements, too.
    func addItems(_ count: Int, bytes: Int) throws(EvaluationError) {
        guard madeItems + count <= Self.madeItemsMax else {
            throw EvaluationError(
                "a scope would get \(madeItems + count) new items from statements, more than \(Self.madeItemsMax); add a where that does not hold for them"
            )
        }
        guard madeBytes + bytes <= textBytesMax else {
            throw EvaluationError(
                "a scope would get \(madeBytes + bytes) bytes of new items from statements, more than \(textBytesMax); add a where that does not hold for them"
            )
        }
        madeItems += count
        madeBytes += bytes
    }

    /// Reads and changes what is open in an editor, which stays open as long as the frame is used.
    /// - Parameter itemBytes: of an item that was put into the editor, when no request is open.
    package init(_ editor: RequestEditor, itemBytes: Int = 0) {
        self.editor = editor
        self.itemBytes = itemBytes
        let root = editor.root
        (resourceGroup, resource, scopeGroup, scope) = (root, root, root, root)
        (item, part, exemplar) = (root, root, root)
    }

    /// Turns to a resource.
    package func show(_ place: ResourcePlace) {
        (resourceGroup, resource) = (place.entry, place.resource)
    }

    /// Turns to a scope.
    package func show(_ place: ScopePlace) {
        show(place.resource)
        (scopeGroup, scope) = (place.entry, place.scope)
        (madeItems, madeBytes) = (0, 0)
    }

    /// Turns to a span, metric or log record of the scope shown last.
    package func show(item: MessageID) { self.item = item }

    /// Turns to a span event or data point of the item shown last.
    package func show(part: MessageID, at index: Int) { (self.part, self.index) = (part, index) }

    /// Turns to an exemplar of the point shown last.
    package func show(exemplar: MessageID) { self.exemplar = exemplar }

    /// Of the metric shown last.
    var metricType: MetricType? { MetricType(editor, item) }

    /// The message that holds the points of the metric shown last.
    var metricData: MessageID? { metricType.map { editor.child(item, $0.rawValue) } }
}

/// What is known of the client that sent a request.
package struct ClientFacts: Sendable {
    /// Address and port; nil when they are not known.
    package var address: String?
    /// Header fields, names in lower case.
    package var fields: [(name: String, value: String)]

    package init(address: String? = nil, fields: [(name: String, value: String)] = []) {
        (self.address, self.fields) = (address, fields)
    }
}
