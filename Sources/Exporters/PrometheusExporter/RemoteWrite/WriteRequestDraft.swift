internal import NIOCore
internal import OTLP

/// Protobuf, written field by field.
struct ProtobufDraft {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func integer(_ number: UInt64, _ value: UInt64) {
        varint(number << 3)
        varint(value)
    }

    /// `sint32` and `sint64`.
    mutating func signed(_ number: UInt64, _ value: Int64) {
        integer(number, UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    mutating func double(_ number: UInt64, _ value: Double) {
        varint(number << 3 | 1)
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
        }
    }

    mutating func field(_ number: UInt64, _ content: some Collection<UInt8>) {
        varint(number << 3 | 2)
        varint(UInt64(content.count))
        bytes += content
    }

    mutating func message(_ number: UInt64, _ build: (inout ProtobufDraft) -> Void) {
        var inner = ProtobufDraft()
        build(&inner)
        field(number, inner.bytes)
    }
}

/// The series of one batch, each once, with its samples in the order in which they came.
struct SeriesDraft {
    struct Series {
        /// `labels` fields, sorted by name.
        let labels: [UInt8]
        /// `samples`, `exemplars` and `histograms` fields.
        var samples: [UInt8] = []
        var exemplars: [UInt8] = []
        var histograms: [UInt8] = []
        /// Data points that began with this series.
        var items = 0
    }

    private(set) var series: [Series] = []
    private var known: [[UInt8]: Int] = [:]

    /// The series of these labels, sorted by name.
    mutating func series(_ labels: [Label]) -> Int {
        var draft = ProtobufDraft()
        for label in labels {
            draft.message(1) {
                $0.field(1, label.name.utf8)
                $0.field(2, label.value)
            }
        }
        if let index = known[draft.bytes] { return index }
        known[draft.bytes] = series.count
        series.append(Series(labels: draft.bytes))
        return series.count - 1
    }

    /// - Parameter time: milliseconds since 1970.
    mutating func addSample(_ value: Double, time: Int64, to index: Int) {
        var draft = ProtobufDraft()
        draft.message(2) {
            if value.bitPattern != 0 { $0.double(1, value) }
            if time != 0 { $0.integer(2, UInt64(bitPattern: time)) }
        }
        series[index].samples += draft.bytes
    }

    mutating func addExemplar(_ exemplar: RemoteExemplar, to index: Int) {
        var draft = ProtobufDraft()
        draft.message(3) { message in
            for label in exemplar.labels {
                message.message(1) {
                    $0.field(1, label.name.utf8)
                    $0.field(2, label.value)
                }
            }
            message.double(2, exemplar.value)
            message.integer(3, UInt64(bitPattern: exemplar.time))
        }
        series[index].exemplars += draft.bytes
    }

    mutating func addHistogram(to index: Int, _ build: (inout ProtobufDraft) -> Void) {
        var draft = ProtobufDraft()
        draft.message(4, build)
        series[index].histograms += draft.bytes
    }

    mutating func countItem(of index: Int) { series[index].items += 1 }
}

/// One request, compressed.
struct WriteRequest: Sendable {
    let body: ByteBuffer
    /// Data points whose series begin in it.
    let items: Int
    let series: Int
}
