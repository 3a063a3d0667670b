internal import OTLP

/// What one source last said about one series, without labels and buckets, which are its `SeriesMemory`: plain numbers.
///
/// A source is what a process would call a time series: one metric with one set of attributes. Nearly always
/// it is the only one of the series that Prometheus sees, which then is this record; sources whose names
/// become the same are chained behind the first, the primary.
struct SeriesRecord {
    struct Flags: OptionSet {
        let rawValue: UInt16
        /// The slot is in use.
        static var isLive: Flags { Flags(rawValue: 1) }
        /// `number` is an Int64, not a double.
        static var isInt: Flags { Flags(rawValue: 2) }
        /// A histogram or summary with a sum.
        static var hasSum: Flags { Flags(rawValue: 4) }
        /// Not removed by time: `target_info`.
        static var isPinned: Flags { Flags(rawValue: 8) }
        /// `labels` are all labels; those of the context are among them.
        static var hasAllLabels: Flags { Flags(rawValue: 16) }
        /// A label name that old scrapers do not know.
        static var hasQuotedNames: Flags { Flags(rawValue: 32) }
        /// Behind another record in its chain; not in its family's list.
        static var isSecondary: Flags { Flags(rawValue: 64) }
        /// A point has arrived.
        static var hasValue: Flags { Flags(rawValue: 128) }
    }

    /// The value, or a distribution's sum: bits of a double or an Int64.
    var number: UInt64 = 0
    /// Of a distribution.
    var count: UInt64 = 0
    /// Nanoseconds since 1970; 0 when unknown.
    var startTime: UInt64 = 0
    var time: UInt64 = 0
    /// The hash of the original names and values.
    var sourceHash: UInt64 = 0
    var finalLow: UInt64 = 0
    var aliasLow: UInt64 = 0
    var finalHigh: UInt32 = 0
    var aliasHigh: UInt32 = 0
    /// Index of the context; `noIndex` for a pinned record.
    var context = noIndex
    /// Index of the descriptor under which it was made.
    var descriptor = noIndex
    var nextInFamily = noIndex
    var previousInFamily = noIndex
    /// The next source of the same series.
    var nextSource = noIndex
    /// When it was last updated, in ticks.
    var touched: UInt32 = 0
    /// Index of a histogram's bounds.
    var bounds = noIndex
    /// `Context.process` of who sent the last delta.
    var process: UInt32 = 0
    var flags: Flags = []

    var finalKey: SeriesKey { SeriesKey(low: finalLow, high: finalHigh) }
    var firstAlias: SeriesKey { SeriesKey(low: aliasLow, high: aliasHigh) }

    /// The value or sum as a double.
    var double: Double {
        flags.contains(.isInt) ? Double(Int64(bitPattern: number)) : Double(bitPattern: number)
    }
}

/// All series, by number. Slots are never moved and never given back; free ones are used again first.
@safe
final class SeriesSlab {
    /// `chunkCount` of each. What is read with each point lies apart from the rest.
    @unsafe
    private struct Chunk {
        let records: UnsafeMutablePointer<SeriesRecord>
        let memories: UnsafeMutablePointer<SeriesMemory>
    }

    private static let chunkBits = 10
    private static let chunkCount = 1 << chunkBits

    // SAFETY: room for `chunkMax` chunks, of which the first `chunks` are there, with all elements initialized.
    private let directory: UnsafeMutablePointer<Chunk>
    private let chunkMax: Int
    private var chunks = 0
    private var firstFree = noIndex
    /// Slots that were ever used.
    private(set) var end: UInt32 = 0
    /// Records in use.
    private(set) var count = 0

    /// With room for so many records.
    init(countMax: Int) {
        chunkMax = (countMax + Self.chunkCount - 1) >> Self.chunkBits
        unsafe directory = .allocate(capacity: chunkMax)
    }

    deinit {
        for chunk in 0..<chunks {
            unsafe directory[chunk].memories.deinitialize(count: Self.chunkCount)
            unsafe directory[chunk].memories.deallocate()
            unsafe directory[chunk].records.deallocate()
        }
        unsafe directory.deallocate()
    }

    /// The record of a number that `take` gave.
    subscript(index: UInt32) -> SeriesRecord {
        @inline(__always)
        unsafeAddress {
            unsafe UnsafePointer(chunk(of: index).records + place(index))
        }
        @inline(__always)
        unsafeMutableAddress {
            unsafe chunk(of: index).records + place(index)
        }
    }

    /// What the series of a number keeps besides its record.
    subscript(memory index: UInt32) -> SeriesMemory {
        @inline(__always)
        unsafeAddress {
            unsafe UnsafePointer(chunk(of: index).memories + place(index))
        }
        @inline(__always)
        unsafeMutableAddress {
            unsafe chunk(of: index).memories + place(index)
        }
    }

    @inline(__always)
    private func chunk(of index: UInt32) -> Chunk {
        precondition(index < end, "no such series")
        // SAFETY: every slot below `end` is in a chunk.
        return unsafe directory[Int(index) >> Self.chunkBits]
    }

    @inline(__always)
    private func place(_ index: UInt32) -> Int { Int(index) & (Self.chunkCount - 1) }

    /// A slot with an empty record; nil when all are in use.
    func take() -> UInt32? {
        var index = firstFree
        if index != noIndex {
            firstFree = self[index].nextInFamily
        } else {
            index = end
            if Int(index) >> Self.chunkBits == chunks {
                guard chunks < chunkMax else { return nil }
                let chunk = unsafe Chunk(
                    records: .allocate(capacity: Self.chunkCount),
                    memories: .allocate(capacity: Self.chunkCount))
                unsafe chunk.records.initialize(repeating: SeriesRecord(), count: Self.chunkCount)
                for place in 0..<Self.chunkCount {
                    unsafe (chunk.memories + place).initialize(to: SeriesMemory())
                }
                unsafe directory[chunks] = chunk
                chunks += 1
            }
            end += 1
        }
        self[index] = SeriesRecord()
        self[index].flags = .isLive
        count += 1
        return index
    }

    /// Frees what a series keeps, and its slot.
    func giveBack(_ index: UInt32) {
        self[memory: index] = SeriesMemory()
        self[index] = SeriesRecord()
        self[index].nextInFamily = firstFree
        firstFree = index
        count -= 1
    }

    /// Memory of the slots.
    var bytes: Int {
        chunks * Self.chunkCount * (MemoryLayout<SeriesRecord>.stride + MemoryLayout<SeriesMemory>.stride)
    }
}
