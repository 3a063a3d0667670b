internal import OTLP

/// What one source last said about one series: 144 bytes, without labels and buckets.
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
    /// `a="1",b="2"` as text formats write it; owned.
    var labels = MemoryRun<UInt8>()
    /// Buckets, quantiles; owned. What they are says `DistributionWords`.
    var words = MemoryRun<UInt64>()
    /// One for a number, one a bucket for a histogram; owned; empty when there never was one.
    var exemplars = MemoryRun<ExemplarSlot>()
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

/// Memory that a record owns: a pointer and a count in 12 bytes. Freed by hand, with the record.
@safe
struct MemoryRun<Element: BitwiseCopyable> {
    // SAFETY: `count` initialized elements, or nil and 0. Used under the store's lock only.
    private(set) var base: UnsafeMutablePointer<Element>?
    private(set) var storedCount: UInt32

    init() {
        unsafe base = nil
        storedCount = 0
    }

    var count: Int { Int(storedCount) }
    var bytes: Int { count * MemoryLayout<Element>.stride }

    /// Frees what there was and takes room for `count` elements, each `element`.
    mutating func replace(count: Int, with element: Element) {
        if count != self.count {
            free()
            if count > 0 {
                unsafe base = .allocate(capacity: count)
                storedCount = UInt32(count)
            }
        }
        unsafe base?.initialize(repeating: element, count: count)
    }

    /// Frees the memory. Nothing is left.
    mutating func free() {
        unsafe base?.deallocate()
        unsafe base = nil
        storedCount = 0
    }

    subscript(index: Int) -> Element {
        @inline(__always)
        get {
            precondition(index >= 0 && index < count, "outside of the run")
            return unsafe base.unsafelyUnwrapped[index]
        }
        @inline(__always)
        nonmutating set {
            precondition(index >= 0 && index < count, "outside of the run")
            unsafe base.unsafelyUnwrapped[index] = newValue
        }
    }

    /// The elements, as long as they are not freed.
    var unsafeElements: UnsafeBufferPointer<Element> {
        unsafe UnsafeBufferPointer(start: base, count: count)
    }
}

extension MemoryRun<UInt8> {
    /// A copy of text.
    mutating func replace(_ text: [UInt8]) {
        replace(count: text.count, with: 0)
        for (index, byte) in text.enumerated() { self[index] = byte }
    }

    /// The bytes, as long as they are not freed.
    var borrowed: WireBytes {
        unsafe WireBytes(UnsafeRawBufferPointer(unsafeElements))
    }
}

extension MemoryRun<UInt64> {
    /// Replaces all elements by little-endian numbers, of which there are as many.
    func copy(_ numbers: WireBytes) {
        precondition(numbers.count == bytes, "as many numbers as elements")
        // SAFETY: both have so many bytes; the run is memory of its own.
        unsafe UnsafeMutableRawPointer(base)?.copyMemory(
            from: numbers.unsafeBytes.baseAddress.unsafelyUnwrapped, byteCount: bytes)
    }

    /// Adds little-endian numbers to the elements, of which there are as many; wraps.
    func add(_ numbers: WireBytes) {
        precondition(numbers.count == bytes, "as many numbers as elements")
        for index in 0..<count {
            // SAFETY: the index is below both counts.
            let number = unsafe numbers.unsafeBytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
            unsafe base.unsafelyUnwrapped[index] &+= UInt64(littleEndian: number)
        }
    }
}

/// All records, by number. Memory is never moved and never given back; free slots are used again first.
@safe
final class SeriesSlab {
    private static let chunkBits = 10
    private static let chunkCount = 1 << chunkBits

    // SAFETY: a directory of `chunkMax` pointers, of which the first `chunks` are to chunks of initialized
    // records.
    private let directory: UnsafeMutablePointer<UnsafeMutablePointer<SeriesRecord>>
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
        for index in 0..<end {
            free(&self[index])
        }
        for chunk in 0..<chunks { unsafe directory[chunk].deallocate() }
        unsafe directory.deallocate()
    }

    private func free(_ record: inout SeriesRecord) {
        for index in 0..<record.exemplars.count { record.exemplars[index].free() }
        record.exemplars.free()
        record.labels.free()
        record.words.free()
    }

    /// The record of a number that `take` gave.
    subscript(index: UInt32) -> SeriesRecord {
        @inline(__always)
        unsafeAddress {
            unsafe UnsafePointer(address(index))
        }
        @inline(__always)
        unsafeMutableAddress {
            unsafe address(index)
        }
    }

    @inline(__always)
    private func address(_ index: UInt32) -> UnsafeMutablePointer<SeriesRecord> {
        precondition(index < end, "no such series")
        // SAFETY: every slot below `end` is in a chunk.
        return unsafe directory[Int(index) >> Self.chunkBits] + (Int(index) & (Self.chunkCount - 1))
    }

    /// A slot with an empty record; nil when all are in use.
    func take() -> UInt32? {
        var index = firstFree
        if index != noIndex {
            firstFree = self[index].nextInFamily
        } else {
            index = end
            if Int(index) >> Self.chunkBits == chunks {
                guard chunks < chunkMax else { return nil }
                let chunk = UnsafeMutablePointer<SeriesRecord>.allocate(capacity: Self.chunkCount)
                unsafe chunk.initialize(repeating: SeriesRecord(), count: Self.chunkCount)
                unsafe directory[chunks] = unsafe chunk
                chunks += 1
            }
            end += 1
        }
        self[index] = SeriesRecord()
        self[index].flags = .isLive
        count += 1
        return index
    }

    /// Frees a record and what it owns.
    func giveBack(_ index: UInt32) {
        free(&self[index])
        self[index] = SeriesRecord()
        self[index].nextInFamily = firstFree
        firstFree = index
        count -= 1
    }

    /// Memory of the slots.
    var bytes: Int { chunks * Self.chunkCount * MemoryLayout<SeriesRecord>.stride }
}
