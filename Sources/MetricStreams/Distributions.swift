package import OTLP

/// What histograms of both kinds have besides buckets.
package struct DistributionSums: Sendable, Equatable {
    package var count: UInt64 = 0
    package var sum: Double?
    package var min: Double?
    package var max: Double?

    package init() {}

    /// Adds others. A sum, minimum or maximum stays only when both have it.
    package mutating func add(_ other: DistributionSums) {
        count &+= other.count
        sum = sum.flatMap { own in other.sum.map { own + $0 } }
        min = min.flatMap { own in other.min.map { Swift.min(own, $0) } }
        max = max.flatMap { own in other.max.map { Swift.max(own, $0) } }
    }
}

/// The value of a `HistogramDataPoint`.
package struct HistogramValue: Sendable, Equatable {
    package var sums = DistributionSums()
    /// Bit patterns of doubles.
    package var bounds: [UInt64] = []
    package var counts: [UInt64] = []

    package init() {}

    package init(_ editor: RequestEditor, _ point: MessageID) {
        sums.count = editor.bits(point, Field.HistogramPoint.count)
        sums.sum = editor.double(point, Field.HistogramPoint.sum)
        sums.min = editor.double(point, Field.HistogramPoint.min)
        sums.max = editor.double(point, Field.HistogramPoint.max)
        bounds = editor.numbers(point, Field.HistogramPoint.explicitBounds, isFixed: true)
        counts = editor.numbers(point, Field.HistogramPoint.bucketCounts, isFixed: true)
    }

    /// Writes it into a point.
    package func write(to editor: RequestEditor, _ point: MessageID) {
        editor.setNumber(point, Field.HistogramPoint.count, .fixed64, sums.count)
        editor.setDouble(point, Field.HistogramPoint.sum, sums.sum)
        editor.setDouble(point, Field.HistogramPoint.min, sums.min)
        editor.setDouble(point, Field.HistogramPoint.max, sums.max)
        editor.setNumbers(point, Field.HistogramPoint.explicitBounds, isFixed: true, bounds)
        editor.setNumbers(point, Field.HistogramPoint.bucketCounts, isFixed: true, counts)
    }

    /// Bytes on the heap.
    package var keptBytes: Int { 8 * (bounds.capacity + counts.capacity) }
}

/// The value of an `ExponentialHistogramDataPoint`.
package struct ExponentialValue: Sendable, Equatable {
    package var sums = DistributionSums()
    package var scale: Int32 = 0
    package var zeroCount: UInt64 = 0
    package var zeroThreshold: Double = 0
    package var positive = ExponentialBuckets()
    package var negative = ExponentialBuckets()

    package init() {}

    package init(_ editor: RequestEditor, _ point: MessageID) {
        sums.count = editor.bits(point, Field.ExponentialPoint.count)
        sums.sum = editor.double(point, Field.ExponentialPoint.sum)
        sums.min = editor.double(point, Field.ExponentialPoint.min)
        sums.max = editor.double(point, Field.ExponentialPoint.max)
        let scale = editor.bits(point, Field.ExponentialPoint.scale)
        self.scale = Int32(truncatingIfNeeded: Self.signed(scale))
        zeroCount = editor.bits(point, Field.ExponentialPoint.zeroCount)
        zeroThreshold = editor.double(point, Field.ExponentialPoint.zeroThreshold) ?? 0
        positive = Self.buckets(editor, point, Field.ExponentialPoint.positive)
        negative = Self.buckets(editor, point, Field.ExponentialPoint.negative)
    }

    /// Writes it into a point.
    package func write(to editor: RequestEditor, _ point: MessageID) {
        editor.setNumber(point, Field.ExponentialPoint.count, .fixed64, sums.count)
        editor.setDouble(point, Field.ExponentialPoint.sum, sums.sum)
        editor.setDouble(point, Field.ExponentialPoint.min, sums.min)
        editor.setDouble(point, Field.ExponentialPoint.max, sums.max)
        editor.setNumber(point, Field.ExponentialPoint.scale, .varint, Self.zigzag(Int64(scale)))
        editor.setNumber(point, Field.ExponentialPoint.zeroCount, .fixed64, zeroCount)
        editor.setNumber(
            point, Field.ExponentialPoint.zeroThreshold, .fixed64,
            zeroThreshold == 0 ? 0 : zeroThreshold.bitPattern)
        Self.set(positive, editor, point, Field.ExponentialPoint.positive)
        Self.set(negative, editor, point, Field.ExponentialPoint.negative)
    }

    private static func buckets(
        _ editor: RequestEditor, _ point: MessageID, _ number: UInt32
    ) -> ExponentialBuckets {
        guard editor.has(point, number) else { return ExponentialBuckets() }
        let message = editor.child(point, number)
        defer { editor.close(message) }
        let offset = signed(editor.bits(message, Field.Buckets.offset))
        return ExponentialBuckets(
            offset: Int(Int32(truncatingIfNeeded: offset)),
            counts: editor.numbers(message, Field.Buckets.bucketCounts, isFixed: false))
    }

    private static func set(
        _ buckets: ExponentialBuckets, _ editor: RequestEditor, _ point: MessageID, _ number: UInt32
    ) {
        guard !buckets.counts.isEmpty || editor.has(point, number) else { return }
        let message = editor.child(point, number)
        editor.setNumber(message, Field.Buckets.offset, .varint, zigzag(Int64(buckets.offset)))
        editor.setNumbers(message, Field.Buckets.bucketCounts, isFixed: false, buckets.counts)
        editor.close(message)
    }

    /// `sint32` and `sint64`.
    private static func signed(_ bits: UInt64) -> Int64 {
        Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1)
    }

    private static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value << 1) ^ (value >> 63))
    }

    /// Bytes on the heap.
    package var keptBytes: Int { 8 * (positive.counts.capacity + negative.counts.capacity) }
}
