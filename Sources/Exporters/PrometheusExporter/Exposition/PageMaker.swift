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

    init(_ request: PageKey, sendsTimestamps: Bool) {
        format = request.format
        isGzipped = request.isGzipped
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
        if format == .protobuf { protobuf.begin(family, &writer) } else { text.begin(family, &writer) }
    }

    private mutating func endFamily() {
        if format == .protobuf { protobuf.end(&writer) }
    }

    private mutating func write(_ view: SeriesView, _ store: SeriesStore) {
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
