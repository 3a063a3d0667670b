internal import Compression
internal import NIOCore
internal import OTLP

/// Writes a page bit by bit, while the store goes on taking points in. One thread at a time.
struct PageMaker: ~Copyable {
    /// What is written under the store's lock at once, at most, give or take a series.
    private static let sliceSeries = 256
    private static let sliceBytes = 128 << 10
    /// A page up to this size is compressed at once, which takes half the time.
    private static let compressedWholeMax = 4 << 20

    private var text: TextPage
    private var protobuf: ProtobufPage
    private var writer: PageWriter
    private let format: ExpositionFormat
    private let isGzipped: Bool
    private let escaping: NameEscaping
    /// Names, as the scraper knows them, that families on the page have or whose samples have.
    private var taken: Set<String> = []
    /// A family of the protobuf format goes on in another message of its name beyond this: it is held until its length
    /// is known.
    static let messageBytesMax = 8 << 20
    /// For a page that is too large to be compressed at once; its output.
    private var gzip: GzipStream?
    private var compressed = ByteBuffer()
    /// Whether the length of a family is to be filled in, before which nothing of it can go out; where it began.
    private var isInMessage = false
    private var messageStart = 0
    /// Whether the family at hand is left out.
    private var isHidden = false
    /// The first families that were left out, because a scraper would refuse the whole page for their names.
    private(set) var hidden: [String] = []
    private static let hiddenMax = 16
    /// Series that OpenMetrics forbids, and the first families that had such.
    private(set) var forbidden: (series: Int, families: [String]) = (0, [])

    init(_ request: PageKey, sendsTimestamps: Bool, showsCreated: Bool = false) {
        format = request.format
        isGzipped = request.isGzipped
        escaping = request.escaping
        writer = PageWriter(isContiguous: request.isGzipped)
        text = TextPage(
            isOpenMetrics: request.format == .openMetrics, escaping: request.escaping,
            sendsTimestamps: sendsTimestamps, showsCreated: showsCreated)
        protobuf = ProtobufPage(escaping: request.escaping, sendsTimestamps: sendsTimestamps)
    }

    /// Writes the next series: a short time's work, under the store's lock.
    ///
    /// - Returns: whether there is more.
    mutating func writeSlice(_ store: SeriesStore, _ cursor: PageCursor, now: UInt32) -> Bool {
        var left = Self.sliceSeries
        let end = writer.count + Self.sliceBytes
        while left > 0, writer.count < end {
            left -= 1
            if cursor.next == noIndex {
                if cursor.isOpen { endFamily() }
                guard store.openNextFamily(cursor) else { return false }
                continue
            }
            let index = cursor.next
            cursor.next = store.slab[index].nextInFamily
            guard let view = store.view(index, now: now) else { continue }
            if !cursor.isOpen {
                cursor.isOpen = true
                begin(cursor.family!)
            }
            write(view, of: cursor.family!, store)
            // Now what is written can go out.
            if format == .protobuf, !isHidden, !isInMessage { return true }
        }
        return true
    }

    private mutating func begin(_ family: Family) {
        let names = names(family)
        isHidden = names.contains { taken.contains($0) }
        if isHidden {
            if hidden.count < Self.hiddenMax { hidden.append(family.name) }
            return
        }
        taken.formUnion(names)
        if format == .protobuf {
            beginMessage(family)
        } else {
            text.begin(family, &writer)
        }
    }

    /// The names that a family takes: its own and, in text, those that its samples are given.
    private func names(_ family: Family) -> [String] {
        let base = escaping.metricName(family.name)
        var names = [base]
        if format != .protobuf {
            if family.type == .histogram { names.append(base + "_bucket") }
            if family.type == .histogram || family.type == .summary {
                names += [base + "_sum", base + "_count"]
            }
        }
        if format == .openMetrics {
            // A strict parser looks for `_created`, whether it is shown or not.
            if family.type == .histogram || family.type == .summary { names.append(base + "_created") }
            if family.type == .counter, base.hasSuffix("_total"), base.utf8.count > 6 {
                let title = String(base.dropLast(6))
                names += [title, title + "_created"]
            }
        }
        return names
    }

    private mutating func beginMessage(_ family: Family) {
        isInMessage = true
        messageStart = writer.count
        protobuf.begin(family, &writer)
    }

    private mutating func endMessage() {
        protobuf.end(&writer)
        isInMessage = false
    }

    private mutating func endFamily() {
        if isInMessage { endMessage() }
    }

    private mutating func write(_ view: SeriesView, of family: Family, _ store: SeriesStore) {
        guard !isHidden else { return }
        if format == .protobuf {
            if !isInMessage { beginMessage(family) }
            protobuf.write(view, store, &writer)
            if writer.count - messageStart > Self.messageBytesMax { endMessage() }
        } else if text.allows(view, store) {
            text.write(view, store, &writer)
        } else {
            forbidden.series += 1
            if forbidden.families.count < Self.hiddenMax, forbidden.families.last != family.name {
                forbidden.families.append(family.name)
            }
        }
    }

    /// What can go out by now, perhaps nothing. Without the store: compressing takes a while.
    mutating func takeReady() -> [ByteBuffer] {
        guard !isInMessage else { return [] }
        guard isGzipped else { return writer.takeParts(all: false) }
        guard writer.count >= (gzip == nil ? Self.compressedWholeMax : PageWriter.partBytes / 2) else {
            return []
        }
        compress(isLast: false)
        guard compressed.readableBytes >= PageWriter.partBytes / 2 else { return [] }
        return [takeCompressed()]
    }

    /// The rest, after the last slice. Without the store, too.
    mutating func finish() -> [ByteBuffer] {
        if format == .openMetrics { writer.put("# EOF\n") }
        guard isGzipped else { return writer.takeParts(all: true) }
        if gzip != nil {
            compress(isLast: true)
        } else {
            let gzipper = Gzipper(level: 1)
            _ = writer.withBytes { bytes in
                gzipper.compress(bytes) { minimum, fill in
                    compressed.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
                }
            }
        }
        return [takeCompressed()]
    }

    /// Compresses what is written. One member for all: not all that read gzip read several.
    private mutating func compress(isLast: Bool) {
        let gzip = gzip ?? GzipStream()
        self.gzip = gzip
        writer.withBytes { bytes in
            gzip.compress(bytes, isLast: isLast) { minimum, fill in
                compressed.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
            }
        }
        writer.clear()
    }

    private mutating func takeCompressed() -> ByteBuffer {
        // Without the room that was not needed.
        let taken = ByteBuffer(bytes: compressed.readableBytesView)
        compressed.clear()
        return taken
    }
}
