import OTLP
import TestSupport
import Testing

@Suite struct SpanFieldsTests {
    /// A span with every field that is read, some that are not, and attributes in two places.
    private static let span = message {
        $0.field(1, Array(1...16))
        $0.field(2, Array(21...28))
        $0.text(3, "a=b")
        $0.field(4, Array(31...38))
        $0.text(5, "GET /" + String(repeating: "long/", count: 40))
        $0.integer(6, 3)
        $0.fixed64(7, 1_700_000_000_000_000_000)
        $0.fixed64(8, 1_700_000_000_250_000_000)
        $0.attribute(9, "http.request.method", "GET")
        $0.attribute(9, "body", String(repeating: "x", count: 300))
        $0.message(11) { $0.text(2, "event") }
        $0.attribute(9, "http.route", "/a")
        $0.integer(10, 300)
        $0.message(15) {
            $0.text(2, "failed")
            $0.integer(3, 2)
        }
        $0.fixed32(16, 257)
    }

    /// What is read of a span.
    private struct Found: Equatable {
        var texts: [[UInt8]] = [[], [], [], []]
        var numbers: [UInt64] = [0, 0, 0, 0]
        var attributes = 0

        init(_ span: SpanFields) {
            texts = [span.traceID, span.spanID, span.parentSpanID, span.name].map(\.array)
            numbers = [span.kind, span.startTime, span.endTime, span.status]
            attributes = span.attributes.fields.count { $0.number == Field.Span.attributes }
        }

        init(walking message: WireBytes) {
            for field in message.fields {
                switch field.number {
                case 1: texts[0] = field.bytes.array
                case 2: texts[1] = field.bytes.array
                case 4: texts[2] = field.bytes.array
                case 5: texts[3] = field.bytes.array
                case 6: numbers[0] = field.bits
                case 7: numbers[1] = field.bits
                case 8: numbers[2] = field.bits
                case 9: attributes += 1
                case 15: for part in field.bytes.fields where part.number == 3 { numbers[3] = part.bits }
                default: break
                }
            }
        }
    }

    /// Scenario: a span, and what is left of it when it ends after any of its bytes. Guarantees: the one pass over a span
    /// sees what a walk field by field sees, and stops where that stops: what is counted and sampled is what came.
    @Test func readsWhatAWalkSees() {
        for count in 0...Self.span.count {
            // A copy: whoever reads behind its end is caught where memory is checked.
            Array(Self.span.prefix(count)).withUnsafeBytes { bytes in
                let message = WireBytes(bytes)
                #expect(Found(SpanFields(message)) == Found(walking: message), "\(count) bytes")
            }
        }
        Self.span.withUnsafeBytes { #expect(SpanFields(WireBytes($0)).duration == 250_000_000) }
    }

    /// Scenario: only spans of some kinds are wanted. Guarantees: others are not given, one without a kind neither, so
    /// that no edge is made of a span inside a service.
    @Test func givesWantedKindsOnly() {
        func isGiven(_ kind: UInt64, _ kinds: ClosedRange<UInt64>) -> Bool {
            message {
                $0.message(2) {
                    if kind > 0 { $0.integer(6, kind) }
                    $0.text(5, "name")
                }
            }.withUnsafeBytes {
                var reader = SpanReader(kinds: kinds)
                reader.begin(WireBytes($0))
                return reader.next()
            }
        }
        #expect((0...6).map { isGiven($0, 2...5) } == [false, false, true, true, true, true, false])
        #expect(!isGiven(40, 2...5) && !isGiven(1 << 40 | 3, 2...5))
    }

    /// Scenario: a scope of more spans than are read at a time, with other fields between them, and what is left of it when it
    /// ends after any of its last bytes. Guarantees: spans are read as each by itself, none is left out or given twice, and it is
    /// known where they and the other fields are: what is counted and kept is what came.
    @Test func readsManyAtATime() {
        let bytes = message {
            $0.message(1) { $0.text(1, "scope") }
            for number in 0..<100 as Range<UInt64> {
                $0.message(2) {
                    $0.field(1, Array(repeating: UInt8(number), count: 16))
                    $0.text(5, String(repeating: "n", count: Int(number) * 3))
                    $0.integer(6, number % 7)
                    $0.fixed64(7, number)
                    $0.fixed64(8, number * 2)
                }
                if number % 40 == 39 { $0.text(3, "schema") }
            }
        }
        var reader = SpanReader()
        var some = SpanReader(kinds: 2...3)
        for count in bytes.count - 400...bytes.count {
            Array(bytes.prefix(count)).withUnsafeBytes { bytes in
                let scope = WireBytes(bytes)
                let expected: [WireField] = scope.fields.filter { $0.number == 2 }
                var found: [SpanFields] = []
                reader.begin(scope)
                var fields: [Range<Int>] = []
                while true {
                    if reader.nextBeforeOther() {
                        for index in 0..<reader.count {
                            found.append(reader[index])
                            fields.append(reader.range(index))
                            let duration = reader.duration(index)
                            #expect(duration == found.last?.duration)
                        }
                    } else if let other = reader.passOther() {
                        fields.append(other)
                    } else {
                        break
                    }
                }
                let ranges: [Range<Int>] = scope.fields.map { $0.start..<$0.end }
                let values: [Found] = expected.map { Found(walking: $0.bytes) }
                #expect(fields == ranges)
                #expect(found.map { Found($0) } == values)
                some.begin(scope)
                var kinds: [UInt64] = []
                while some.next() { for index in 0..<some.count { kinds.append(some[index].kind) } }
                let wanted: [UInt64] = found.map(\.kind).filter { (2...3).contains($0) }
                #expect(kinds == wanted)
            }
        }
    }

    /// Scenario: spans that differ in a name, a kind or a status, and in numbers of these that mean nothing. Guarantees: what
    /// is told apart by these has hashes of its own, and only that.
    @Test func hashesWhatIsAsked() {
        func bytes(_ name: String, _ kind: UInt64, _ status: UInt64) -> [UInt8] {
            message {
                $0.message(2) {
                    $0.text(5, name)
                    $0.integer(6, kind)
                    $0.message(15) { $0.integer(3, status) }
                }
            }
        }
        let all: [(String, UInt64, UInt64)] = [
            ("a", 1, 2), ("b", 1, 2), ("a", 2, 2), ("a", 1, 1), ("a", 9, 2), ("a", 0, 2), ("a", 1, 3),
            ("a", 1, 0),
        ]
        let spans: [UInt8] = all.flatMap { bytes($0.0, $0.1, $0.2) }
        let hasher = WireHasher()
        func groups(_ fields: SpanReader.HashedFields) -> [Int] {
            var reader = SpanReader()
            return spans.withUnsafeBytes {
                reader.begin(WireBytes($0))
                let isRead = reader.next()
                let count = reader.count
                #expect(isRead && count == 8)
                reader.hash(fields, hasher, from: WireHash(low: 1 << 40, high: 1 << 50))
                var hashes: [WireHash] = []
                for index in 0..<count { hashes.append(reader.hash(index)) }
                return hashes.map { hash in hashes.firstIndex(of: hash) ?? -1 }
            }
        }
        #expect(groups([.name, .kind, .status]) == [0, 1, 2, 3, 4, 4, 6, 6])
        #expect(groups([.kind]) == [0, 0, 2, 0, 4, 4, 0, 0])
        #expect(groups([.status]) == [0, 0, 0, 3, 0, 0, 6, 6])
        #expect(groups([.name]) == [0, 1, 0, 0, 0, 0, 0, 0])
        #expect(groups([]) == [0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// Scenario: values of several keys are looked for: of one length, longer than 63 bytes, twice there, not there, behind
    /// their values. Guarantees: each key has its first value, whatever stands around it.
    @Test func findsAttributes() {
        let long = String(repeating: "k", count: 70)
        let bytes = message {
            $0.text(1, "no attribute")
            $0.attribute(9, "aa", "1")
            $0.attribute(9, "ab", "2")
            $0.attribute(9, "aa", "3")
            $0.message(9) {
                $0.message(2) { $0.text(1, "behind") }
                $0.text(1, "turned")
            }
            $0.attribute(9, long + "!", "other")
            $0.attribute(9, long, "long")
            $0.message(9) { _ in }
        }
        var finder = AttributeFinder(["aa", "ab", "turned", AttributeKey(long), "none"])
        bytes.withUnsafeBytes { bytes in
            for _ in 0..<2 {
                finder.clear()
                finder.find(in: WireBytes(bytes), 9)
                let found = (0..<finder.count).map { finder.text($0..<$0 + 1)?.text }
                #expect(found == ["1", "2", "behind", "long", nil])
            }
            #expect(finder.text(3..<5)?.text == "long" && finder.text(4..<5) == nil)
        }
    }

    /// Scenario: texts of all short lengths that differ in one byte, and others of other lengths. Guarantees: their hashes
    /// differ: no series takes what belongs to another one.
    @Test func hashesDiffer() {
        let hasher = WireHasher()
        var texts: [[UInt8]] = []
        for count in 0...40 {
            texts.append(Array(repeating: 0, count: count))
            for place in 0..<count {
                var text = [UInt8](repeating: 0, count: count)
                text[place] = 1
                texts.append(text)
            }
        }
        let hashes = texts.map { text in
            let hash = text.withUnsafeBytes { hasher.hash(WireBytes($0), from: WireHash(low: 0, high: 0)) }
            return [hash.low, hash.high]
        }
        #expect(Set(hashes).count == texts.count)
    }
}
