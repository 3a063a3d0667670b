import OTLP
import TestSupport
import Testing

/// A sender that writes a resource in two parts, as protobuf allows, would keep its password through a processor that
/// removes it from the part that it reads, while every reader of protobuf behind sees both.
@Suite struct RequestMergeTests {
    private func merged(_ request: [UInt8], _ signal: Signal = .traces) throws -> [UInt8] {
        let repair = try request.withUnsafeBytes { try RequestRepair(of: $0, as: signal, for: .scattered) }
        // Bytes behind the room must stay as they are.
        var output = [UInt8](repeating: 0xA5, count: repair.roomBytes + 32)
        let count = request.withUnsafeBytes { bytes in
            output.withUnsafeMutableBytes {
                repair.write(bytes, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<repair.roomBytes]))
            }
        }
        #expect(count <= repair.roomBytes)
        #expect(output[repair.roomBytes...].allSatisfy { $0 == 0xA5 }, "written behind the room")
        let result = Array(output[..<count])
        #expect(fault(result, signal) == nil, "what is merged is valid")
        return result
    }

    private typealias Build = (inout ProtoWriter) -> Void

    /// A request around the fields of a resource entry, of a log record, and of a metric.
    private func entry(_ build: Build) -> [UInt8] { message { $0.message(1, build) } }
    private func item(_ build: Build) -> [UInt8] { entry { $0.message(2) { $0.message(2, build) } } }

    private func attribute(_ key: String, _ value: Build...) -> Build {
        { message in
            message.message(1) {
                $0.text(1, key)
                for part in value { $0.message(2, part) }
            }
        }
    }

    /// Scenario: each message that a field holds once in two parts, with another field between them. Guarantees: one
    /// message with the fields of both, in place of the first.
    @Test func partsBecomeOne() throws {
        let one: Build = { $0.attribute(1, "a", "1") }
        let two: Build = { $0.attribute(1, "password", "2") }
        let resource = entry {
            $0.message(1, one)
            $0.text(3, "schema")
            $0.message(1, two)
        }
        #expect(fault(resource, .traces)?.reason == .scattered)
        let whole = entry {
            $0.message(1) {
                one(&$0)
                two(&$0)
            }
            $0.text(3, "schema")
        }
        for signal in Signal.allCases { #expect(try merged(resource, signal) == whole) }

        let scope = entry {
            $0.message(2) {
                $0.message(1) { $0.text(1, "name") }
                $0.message(1) { $0.text(2, "version") }
                $0.message(1) { $0.text(1, "other") }
            }
        }
        let wholeScope = entry {
            $0.message(2) {
                $0.message(1) {
                    $0.text(1, "name")
                    $0.text(2, "version")
                    $0.text(1, "other")
                }
            }
        }
        #expect(try merged(scope, .logs) == wholeScope)

        let status = item {
            $0.message(15) { $0.text(2, "it broke") }
            $0.text(5, "GET")
            $0.message(15) { $0.integer(3, 2) }
        }
        let wholeStatus = item {
            $0.message(15) {
                $0.text(2, "it broke")
                $0.integer(3, 2)
            }
            $0.text(5, "GET")
        }
        #expect(try merged(status) == wholeStatus)
    }

    /// Scenario: values in several parts, of the same and of different kinds. Guarantees: maps and lists have what all parts
    /// have; of different kinds the one counts that was set last, as for every reader of protobuf.
    @Test func valuesBecomeOne() throws {
        func resource(_ build: Build) -> [UInt8] { entry { $0.message(1, build) } }
        func map(_ key: String) -> Build { { $0.message(6) { $0.attribute(1, key, 1) } } }
        let text: Build = { $0.text(1, "text") }
        let maps = resource(attribute("k", map("a"), map("b")))
        #expect(fault(maps, .logs)?.reason == .scattered)
        let wholeMap = resource(
            attribute("k") {
                $0.message(6) {
                    $0.attribute(1, "a", 1)
                    $0.attribute(1, "b", 1)
                }
            })
        #expect(try merged(maps, .logs) == wholeMap)
        // All in one value.
        let same = resource(
            attribute("k") {
                map("a")(&$0)
                map("b")(&$0)
            })
        #expect(try merged(same, .logs) == wholeMap)
        #expect(try merged(resource(attribute("k", map("a"), text)), .logs) == resource(attribute("k", text)))
        #expect(
            try merged(resource(attribute("k", map("a"), text, map("b"))), .logs)
                == resource(
                    attribute("k") {
                        text(&$0)
                        map("b")(&$0)
                    }))
    }

    /// Scenario: a metric that is two gauges, and one that is a gauge and a sum. Guarantees: all points of the first; of the
    /// second the sum, and what is counted is what is left.
    @Test func metricsBecomeOne() throws {
        func point(_ number: UInt64) -> Build { { $0.message(1) { $0.fixed64(6, number) } } }
        let gauges = item {
            $0.message(5, point(1))
            $0.text(1, "m")
            $0.message(5, point(2))
        }
        let gauge = item {
            $0.message(5) {
                point(1)(&$0)
                point(2)(&$0)
            }
            $0.text(1, "m")
        }
        #expect(try merged(gauges, .metrics) == gauge)
        let mixed = item {
            $0.message(5, point(1))
            $0.message(7, point(2))
        }
        #expect(fault(mixed, .metrics)?.reason == .scattered)
        let sum = try merged(mixed, .metrics)
        #expect(sum == item { $0.message(7, point(2)) })
        #expect(try summary(sum, .metrics).items == 1)
    }

    /// Scenario: lists of numbers that are not packed, or in several parts. Guarantees: they are packed, in one.
    @Test func listsBecomeOne() throws {
        func histogram(_ build: Build) -> [UInt8] { item { $0.message(9) { $0.message(1, build) } } }
        let unpacked = histogram {
            for count in 1...3 { $0.fixed64(6, UInt64(count)) }
            $0.packedFixed64(7, [10])
            $0.packedFixed64(7, [20])
            $0.fixed64(4, 6)
        }
        #expect(fault(unpacked, .metrics)?.reason == .scattered)
        let packed = histogram {
            $0.packedFixed64(6, [1, 2, 3])
            $0.packedFixed64(7, [10, 20])
            $0.fixed64(4, 6)
        }
        #expect(try merged(unpacked, .metrics) == packed)
        #expect(
            try merged(histogram { $0.fixed64(6, 1) }, .metrics) == histogram { $0.packedFixed64(6, [1]) })

        func exponential(_ build: Build) -> [UInt8] { item { $0.message(10) { $0.message(1, build) } } }
        let buckets = exponential {
            $0.message(8) {
                $0.integer(2, 300)
                $0.packedVarint(2, [1, 2])
            }
            $0.message(9) { $0.packedVarint(2, [4]) }
            $0.message(8) { $0.integer(2, 3) }
        }
        let whole = exponential {
            $0.message(8) { $0.packedVarint(2, [300, 1, 2, 3]) }
            $0.message(9) { $0.packedVarint(2, [4]) }
        }
        #expect(try merged(buckets, .metrics) == whole)
    }

    /// Scenario: requests of every shape, taken apart at random places on every level. Guarantees: the request that it was; one
    /// that is whole comes out as it is.
    @Test(arguments: Signal.allCases)
    func everyShapeBecomesWhole(signal: Signal) throws {
        var apart = 0
        for seed in 0..<300 {
            let request = RandomRequest.make(signal, seed: UInt64(seed))
            #expect(try merged(request, signal) == request)
            var scatterer = Scatterer(random: SeededRandom(seed: UInt64(seed)))
            let scattered = scatterer.scattered(request, signal.name)
            if scattered != request { apart += 1 }
            #expect(try merged(scattered, signal) == request, "seed \(seed)")
            #expect(try mended(scattered, signal) == request, "seed \(seed)")
        }
        #expect(apart > 150)
    }

    /// Scenario: values that lie in each other as deep as is allowed, each in two parts, the first of them large. Guarantees: it
    /// ends soon, and the room suffices while lengths are still those of the parts.
    @Test func deepParts() throws {
        var value: [UInt8] = message { $0.text(1, String(repeating: "x", count: 200_000)) }
        var whole = value
        for _ in 0..<62 {
            let (inner, innerWhole) = (value, whole)
            value = message {
                $0.message(5) { $0.field(1, inner) }
                $0.message(5) { $0.message(1) { $0.integer(3, 1) } }
            }
            whole = message {
                $0.message(5) {
                    $0.field(1, innerWhole)
                    $0.message(1) { $0.integer(3, 1) }
                }
            }
        }
        let request = item { $0.field(5, value) }
        #expect(try merged(request, .logs) == item { $0.field(5, whole) })
    }

    /// Scenario: more parts than anybody writes. Guarantees: refused with the reason, since each costs memory.
    @Test func tooManyParts() {
        let request = entry { for _ in 0..<70_000 { $0.message(1) { $0.integer(2, 1) } } }
        #expect(throws: WireError.self) { try mended(request, .traces) }
        #expect(throws: Never.self) {
            try mended(entry { for _ in 0..<60_000 { $0.message(1) { $0.integer(2, 1) } } }, .traces)
        }
    }

    /// Scenario: text that is not UTF-8 in a request that is scattered, and a broken length behind both. Guarantees: the first is
    /// mended; the second refused at its place.
    @Test func withOtherFaults() throws {
        let scattered = entry {
            $0.message(1) { $0.message(1) { $0.field(1, [0xFF]) } }
            $0.message(1) { $0.integer(2, 1) }
        }
        let whole = entry {
            $0.message(1) {
                $0.message(1) { $0.text(1, "\u{FFFD}") }
                $0.integer(2, 1)
            }
        }
        #expect(try mended(scattered, .traces) == whole)
        do {
            _ = try mended(scattered + [0x0A, 0x05], .traces)
            Issue.record("not refused")
        } catch {
            #expect(error.reason == .truncated && error.offset == scattered.count)
        }
    }
}

/// Takes messages and lists apart.
private struct Scatterer {
    var random: SeededRandom

    private enum Kind {
        case many(String)
        case once(String)
        case fixed64
        case varints
    }

    private static let kinds: [String: [Int: Kind]] = {
        var kinds: [String: [Int: Kind]] = [
            "resource": [1: .many("pair")], "scope": [3: .many("pair")], "pair": [2: .once("value")],
            "value": [5: .once("array"), 6: .once("map")], "array": [1: .many("value")],
            "map": [1: .many("pair")],
            "span": [9: .many("pair"), 11: .many("event"), 15: .once("status")],
            "event": [3: .many("pair")], "status": [:], "log": [5: .once("value"), 6: .many("pair")],
            "metric": [
                5: .once("numbers"), 7: .once("numbers"), 9: .once("histogram"), 10: .once("exponential"),
                12: .many("pair"),
            ],
            "numbers": [1: .many("number")], "number": [7: .many("pair")],
            "histogram": [1: .many("histogram point")],
            "histogram point": [6: .fixed64, 7: .fixed64, 9: .many("pair")],
            "exponential": [1: .many("exponential point")],
            "exponential point": [1: .many("pair"), 8: .once("buckets"), 9: .once("buckets")],
            "buckets": [2: .varints],
        ]
        for (signal, item) in [("traces", "span"), ("metrics", "metric"), ("logs", "log")] {
            kinds[signal] = [1: .many("\(signal) entry")]
            kinds["\(signal) entry"] = [1: .once("resource"), 2: .many("\(signal) scope entry")]
            kinds["\(signal) scope entry"] = [1: .once("scope"), 2: .many(item)]
        }
        return kinds
    }()

    mutating func scattered(_ content: [UInt8], _ name: String) -> [UInt8] {
        var parts: [[UInt8]] = []
        var late: [(place: Int, part: [UInt8])] = []
        for field in plainFields(content) {
            var pieces = [field.raw]
            switch field.wireType == 2 ? Self.kinds[name]?[field.number] : nil {
            case nil: break
            case .many(let child): pieces = [written(field.number, scattered(field.content, child))]
            case .once(let child): pieces = split(field.number, scattered(field.content, child))
            case .fixed64:
                let starts = stride(from: 0, to: field.content.count, by: 8)
                pieces = list(field, starts.map { Array(field.content[$0..<$0 + 8]) }, 1)
            case .varints: pieces = list(field, varints(field.content), 0)
            }
            parts.append(pieces[0])
            for piece in pieces.dropFirst() { late.append((parts.count, piece)) }
        }
        // Later pieces of one field keep their order.
        var place = parts.count
        for (least, part) in late.reversed() {
            place = least + random.below(max(1, min(place, parts.count) - least + 1))
            parts.insert(part, at: place)
        }
        return parts.flatMap { $0 }
    }

    private func written(_ number: Int, _ content: [UInt8]) -> [UInt8] {
        message { $0.field(number, content) }
    }

    private mutating func split(_ number: Int, _ content: [UInt8]) -> [[UInt8]] {
        let fields = plainFields(content)
        guard random.below(2) == 0 else { return [written(number, content)] }
        let middle = random.below(fields.count + 1)
        return [fields[..<middle], fields[middle...]].map { written(number, $0.flatMap(\.raw)) }
    }

    private func varints(_ content: [UInt8]) -> [[UInt8]] {
        var numbers: [[UInt8]] = [[]]
        for byte in content {
            numbers[numbers.count - 1].append(byte)
            if byte < 0x80 { numbers.append([]) }
        }
        return numbers.dropLast()
    }

    private mutating func list(_ field: PlainField, _ numbers: [[UInt8]], _ wireType: Int) -> [[UInt8]] {
        guard numbers.count > 0, random.below(2) == 0 else { return [field.raw] }
        let middle = random.below(numbers.count + 1)
        let packed = written(field.number, numbers[..<middle].flatMap { $0 })
        return [packed]
            + numbers[middle...].map { number in
                message {
                    $0.tag(field.number, wireType)
                    $0.bytes += number
                }
            }
    }
}
