package import OTLP

/// Requests of every shape that OTLP allows, for tests that must hold for all of them.
///
/// Fields in any order, absent envelopes, entries without items, unknown fields on every level, nested
/// values, text beyond ASCII; what a field holds once, and lists of numbers, in one part. The same bytes for the same seed.
package struct RandomRequest {
    private var random: SeededRandom
    private let signal: Signal

    /// A valid request.
    package static func make(_ signal: Signal, seed: UInt64) -> [UInt8] {
        var maker = RandomRequest(random: SeededRandom(seed: seed), signal: signal)
        return maker.shuffled(
            maker.repeated(4) { $0.field(1, $0.resourceEntry()) } + maker.sometimes { $0.unknown() })
    }

    private mutating func resourceEntry() -> [UInt8] {
        shuffled(
            sometimes { $0.field(1, $0.resource()) } + repeated(4) { $0.field(2, $0.scopeEntry()) }
                + sometimes { $0.text(3) } + sometimes { $0.unknown() })
    }

    private mutating func resource() -> [UInt8] {
        shuffled(
            repeated(5) { $0.field(1, $0.keyValue(depth: 0)) } + sometimes { $0.integer(2) }
                + repeated(2) { $0.field(3, $0.shuffled($0.repeated(2) { $0.text(3) } + [$0.text(2)])) })
    }

    private mutating func scopeEntry() -> [UInt8] {
        shuffled(
            sometimes { maker in
                maker.field(
                    1,
                    maker.shuffled(
                        maker.sometimes { $0.text(1) } + maker.sometimes { $0.text(2) }
                            + maker.repeated(2) { $0.field(3, $0.keyValue(depth: 0)) }))
            } + repeated(6) { $0.field(2, $0.entry()) } + sometimes { $0.text(3) }
                + sometimes { $0.unknown() })
    }

    private mutating func entry() -> [UInt8] {
        switch signal {
        case .traces: span()
        case .metrics: metric()
        case .logs: logRecord()
        }
    }

    private mutating func span() -> [UInt8] {
        shuffled(
            [data(1, 16), data(2, 8)] + sometimes { $0.text(3) } + sometimes { $0.data(4, 8) }
                + sometimes { $0.text(5) } + sometimes { $0.integer(6) } + sometimes { $0.fixed64(7) }
                + sometimes { $0.fixed64(8) } + repeated(5) { $0.field(9, $0.keyValue(depth: 0)) }
                + repeated(3) { $0.field(11, $0.event()) }
                + repeated(2) { $0.field(13, $0.shuffled([$0.data(1, 16), $0.data(2, 8), $0.fixed32(6)])) }
                + sometimes { $0.field(15, $0.shuffled([$0.text(2), $0.integer(3)])) }
                + sometimes { $0.fixed32(16) } + sometimes { $0.unknown() })
    }

    private mutating func event() -> [UInt8] {
        shuffled([fixed64(1), text(2)] + repeated(2) { $0.field(3, $0.keyValue(depth: 0)) })
    }

    private mutating func logRecord() -> [UInt8] {
        shuffled(
            [fixed64(1)] + sometimes { $0.integer(2) } + sometimes { $0.text(3) }
                + sometimes { $0.field(5, $0.value(depth: 0)) }
                + repeated(5) { $0.field(6, $0.keyValue(depth: 0)) } + sometimes { $0.fixed32(8) }
                + sometimes { $0.data(9, 16) } + sometimes { $0.data(10, 8) } + sometimes { $0.fixed64(11) }
                + sometimes { $0.text(12) } + sometimes { $0.unknown() })
    }

    private mutating func metric() -> [UInt8] {
        let envelope =
            sometimes { $0.text(1) } + sometimes { $0.text(2) } + sometimes { $0.text(3) }
            + repeated(2) { $0.field(12, $0.keyValue(depth: 0)) } + sometimes { $0.unknown() }
        let kind = [5, 7, 9, 10, 11][random.below(5)]
        return shuffled(envelope + sometimes(of: 8) { $0.field(kind, $0.metricData(kind)) })
    }

    private mutating func metricData(_ kind: Int) -> [UInt8] {
        var fields = repeated(7) { maker -> [UInt8] in
            switch kind {
            case 5, 7: maker.field(1, maker.numberPoint())
            case 9: maker.field(1, maker.histogramPoint())
            case 10: maker.field(1, maker.exponentialPoint())
            default: maker.field(1, maker.summaryPoint())
            }
        }
        if kind != 5 && kind != 11 { fields.append(integer(2)) }
        if kind == 7 { fields += sometimes { $0.integer(3) } }
        return shuffled(fields + sometimes { $0.unknown() })
    }

    private mutating func numberPoint() -> [UInt8] {
        shuffled(
            [fixed64(2), fixed64(3), fixed64(random.below(2) == 0 ? 4 : 6)]
                + repeated(3) { $0.field(7, $0.keyValue(depth: 0)) }
                + repeated(2) { $0.field(5, $0.exemplar()) } + sometimes { $0.integer(8) })
    }

    private mutating func histogramPoint() -> [UInt8] {
        shuffled(
            [fixed64(2), fixed64(3), fixed64(4), fixed64(5), fixed64(11), fixed64(12)]
                + repeated(3) { $0.field(9, $0.keyValue(depth: 0)) }
                + sometimes { $0.data(6, 8 * $0.random.below(12)) }
                + sometimes { $0.data(7, 8 * $0.random.below(12)) }
                + repeated(2) { $0.field(8, $0.exemplar()) })
    }

    private mutating func exponentialPoint() -> [UInt8] {
        shuffled(
            [fixed64(2), fixed64(3), fixed64(4), integer(6), fixed64(7), fixed64(14)]
                + repeated(3) { $0.field(1, $0.keyValue(depth: 0)) }
                + sometimes { $0.field(8, $0.buckets()) } + sometimes { $0.field(9, $0.buckets()) }
                + repeated(2) { $0.field(11, $0.exemplar()) })
    }

    private mutating func buckets() -> [UInt8] {
        let counts = random.bytes(random.below(20)).map { UInt64($0) * 1_000 }
        let packed = write { $0.packedVarint(2, counts) }
        return shuffled([integer(1), packed])
    }

    private mutating func summaryPoint() -> [UInt8] {
        shuffled(
            [fixed64(2), fixed64(3), fixed64(4), fixed64(5)]
                + repeated(3) { $0.field(6, $0.shuffled([$0.fixed64(1), $0.fixed64(2)])) }
                + repeated(3) { $0.field(7, $0.keyValue(depth: 0)) })
    }

    private mutating func exemplar() -> [UInt8] {
        shuffled(
            [fixed64(2), fixed64(random.below(2) == 0 ? 3 : 6), data(4, 8), data(5, 16)]
                + repeated(2) { $0.field(7, $0.keyValue(depth: 0)) })
    }

    private mutating func keyValue(depth: Int) -> [UInt8] {
        let key = text(1)
        let value = field(2, value(depth: depth))
        return random.below(20) == 0 ? value + key : key + value
    }

    private mutating func value(depth: Int) -> [UInt8] {
        switch random.below(depth < 5 ? 10 : 8) {
        case 0, 1, 2, 3: text(1)
        case 4: integer(2)
        case 5: integer(3)
        case 6: fixed64(4)
        case 7: random.below(4) == 0 ? [] : data(7, random.below(30))
        case 8: field(5, repeated(3) { $0.field(1, $0.value(depth: depth + 1)) }.flatMap { $0 })
        default: field(6, repeated(3) { $0.field(1, $0.keyValue(depth: depth + 1)) }.flatMap { $0 })
        }
    }
}

// MARK: - Fields

extension RandomRequest {
    private mutating func repeated(
        _ limit: Int, _ make: (inout RandomRequest) -> [UInt8]
    ) -> [[UInt8]] {
        (0..<random.below(limit + 1)).map { _ in make(&self) }
    }

    /// One in all but one of so many cases.
    private mutating func sometimes(
        of cases: Int = 2, _ make: (inout RandomRequest) -> [UInt8]
    ) -> [[UInt8]] {
        random.below(cases) == 0 ? [] : [make(&self)]
    }

    private mutating func shuffled(_ fields: [[UInt8]]) -> [UInt8] {
        let inOrder = random.below(2) == 0
        return (inOrder ? fields : fields.shuffled(using: &random)).flatMap { $0 }
    }

    private func write(_ build: (inout ProtoWriter) -> Void) -> [UInt8] {
        var writer = ProtoWriter()
        build(&writer)
        return writer.bytes
    }

    private func field(_ number: Int, _ content: [UInt8]) -> [UInt8] { write { $0.field(number, content) } }

    private mutating func text(_ number: Int) -> [UInt8] {
        let words = [
            "", "a", "http.request.method", "GET", "Ünïcødé", "日本語のテキスト", "🙂", "x/y?z=1&q=2", "service.name",
        ]
        let text = (0..<random.below(5)).map { _ in words[random.below(words.count)] }.joined(separator: " ")
        return write { $0.text(number, text) }
    }

    private mutating func integer(_ number: Int) -> [UInt8] {
        let value = random.next() >> UInt64(random.below(64))
        return write { $0.integer(number, value) }
    }

    private mutating func fixed64(_ number: Int) -> [UInt8] {
        let value = random.next()
        return write { $0.fixed64(number, value) }
    }

    private mutating func fixed32(_ number: Int) -> [UInt8] {
        let value = UInt32(truncatingIfNeeded: random.next())
        return write { $0.fixed32(number, value) }
    }

    private mutating func data(_ number: Int, _ count: Int) -> [UInt8] {
        field(number, random.bytes(count))
    }

    private mutating func unknown() -> [UInt8] {
        let number = [17, 31, 32, 999, 536_870_911][random.below(5)]
        switch random.below(4) {
        case 0: return integer(number)
        case 1: return fixed64(number)
        case 2: return fixed32(number)
        default: return data(number, random.below(20))
        }
    }
}
