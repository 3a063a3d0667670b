internal import Compression
internal import NIOCore
internal import OTLP

/// Writes a page bit by bit, while the store goes on taking points in. One thread at a time.
struct PageMaker: ~Copyable {
    /// What is written under the store's lock at once, at most, give or take a series.
    private static let sliceSeries = 256
    private static let sliceBytes = 128 << 10
    /// What a page may have at most, before it is compressed: it is held in memory.
    static let bytesMax = 2 << 30

    private var text: TextPage
    private var protobuf: ProtobufPage
    private var writer: PageWriter
    private let format: ExpositionFormat
    private let isGzipped: Bool
    private let escaping: NameEscaping
    /// Names, as the scraper knows them, that families on the page have or whose samples have.
    private var taken: Set<String> = []
    /// Whether the family at hand is left out.
    private var isHidden = false
    /// The first families that were left out, because a scraper would refuse the whole page for their names.
    private(set) var hidden: [String] = []
    private static let hiddenMax = 16

    init(_ request: PageKey, sendsTimestamps: Bool) {
        format = request.format
        isGzipped = request.isGzipped
        escaping = request.escaping
        writer = PageWriter(isContiguous: request.isGzipped)
        text = TextPage(
            isOpenMetrics: request.format == .openMetrics, escaping: request.escaping,
            sendsTimestamps: sendsTimestamps)
        protobuf = ProtobufPage(escaping: request.escaping, sendsTimestamps: sendsTimestamps)
    }

    /// Whether what is written is more than a page may have.
    var isTooLarge: Bool { writer.count > Self.bytesMax }

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
            guard let view = store.view(index, now: now), isShown(view) else { continue }
            if !cursor.isOpen {
                cursor.isOpen = true
                begin(cursor.family!)
            }
            write(view, store)
        }
        return true
    }

    private func isShown(_ view: SeriesView) -> Bool { view.kind != .exponential || format == .protobuf }

    private mutating func begin(_ family: Family) {
        let names = names(family)
        isHidden = names.contains { taken.contains($0) }
        if isHidden {
            if hidden.count < Self.hiddenMax { hidden.append(family.name) }
            return
        }
        taken.formUnion(names)
        if format == .protobuf { protobuf.begin(family, &writer) } else { text.begin(family, &writer) }
    }

    /// The names that a family takes: its own and, in text, those that its samples are given.
    private func names(_ family: Family) -> [String] {
        let base = family.name
        var names = [base]
        if format != .protobuf {
            if family.type == .histogram { names.append(base + "_bucket") }
            if family.type == .histogram || family.type == .summary {
                names += [base + "_sum", base + "_count"]
            }
        }
        if format == .openMetrics {
            if family.type == .histogram || family.type == .summary { names.append(base + "_created") }
            if family.type == .counter, base.hasSuffix("_total"), base.utf8.count > 6 {
                let title = String(base.dropLast(6))
                names += [title, title + "_created"]
            }
        }
        return names.map { escaping.metricName($0) }
    }

    private mutating func endFamily() {
        guard !isHidden else { return }
        if format == .protobuf { protobuf.end(&writer) }
    }

    private mutating func write(_ view: SeriesView, _ store: SeriesStore) {
        guard !isHidden else { return }
        if format == .protobuf {
            protobuf.write(view, store, &writer)
        } else {
            text.write(view, store, &writer)
        }
    }

    /// The page, after the last slice. Without the store: compressing takes a while.
    mutating func finish() -> [ByteBuffer] {
        if format == .openMetrics { writer.put("# EOF\n") }
        guard isGzipped else { return writer.takeParts() }
        // One member: not all that read gzip read several.
        let gzipper = Gzipper(level: 1)
        var compressed = ByteBuffer()
        _ = writer.withBytes { bytes in
            gzipper.compress(bytes) { minimum, fill in
                compressed.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
            }
        }
        // Without the room that was not needed.
        return [ByteBuffer(bytes: compressed.readableBytesView)]
    }
}
