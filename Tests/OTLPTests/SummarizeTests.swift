import OTLP
import TestSupport
import Testing

/// What a client may send and what is refused before anything else sees it.
@Suite struct SummarizeTests {
    /// Scenario: usual requests. Guarantees: the counts that metrics, limits and batches rely on.
    @Test(arguments: Signal.allCases, [0, 1, 7, 100, 1000])
    func countsItems(signal: Signal, items: Int) throws {
        let request = RequestBuilder.make(signal, items: items)
        #expect(try summary(request, signal) == RequestSummary(items: items, resources: 1, scopes: 1))
    }

    /// Scenario: no bytes. Guarantees: the empty request is valid, as OTLP says.
    @Test(arguments: Signal.allCases)
    func acceptsNothing(signal: Signal) throws {
        #expect(try summary([], signal) == RequestSummary(items: 0, resources: 0))
    }

    /// Scenario: two requests back to back. Guarantees: they are one, which is how batches are made.
    @Test(arguments: Signal.allCases)
    func concatenationMerges(signal: Signal) throws {
        let merged = RequestBuilder.make(signal, items: 3) + RequestBuilder.make(signal, items: 4)
        #expect(try summary(merged, signal) == RequestSummary(items: 7, resources: 2, scopes: 2))
    }

    /// Scenario: requests of every shape. Guarantees: none is refused, and the counts are those of a plain
    /// reader.
    @Test(arguments: Signal.allCases)
    func acceptsEveryShape(signal: Signal) throws {
        for seed in 0..<300 {
            let request = RandomRequest.make(signal, seed: UInt64(seed))
            let found = try summary(request, signal)
            #expect(found.items == flatten(request, signal).count, "seed \(seed)")
        }
    }

    /// Scenario: an exponential histogram with very many buckets. Guarantees: half a megabyte of them is the most, refused by name: read,
    /// each takes eight bytes, in each component.
    @Test(arguments: [(524_288, true), (524_289, false)])
    func listsOfNumbersAreBounded(count: Int, isRight: Bool) throws {
        var buckets = ProtoWriter()
        buckets.field(2, [UInt8](repeating: 1, count: count))
        var point = ProtoWriter()
        point.field(8, buckets.bytes)
        var message = point.bytes
        for number in [1, 10, 2, 2, 1] {
            var writer = ProtoWriter()
            writer.field(number, message)
            message = writer.bytes
        }
        let found = fault(message, .metrics)
        #expect(found?.reason == (isRight ? nil : .longPackedList(bytes: count, most: 524_288)))
        if let found { #expect(found.description.contains("a packed list of 524289 bytes")) }
    }

    /// Scenario: a connection that broke. Guarantees: a cut request is refused unless the cut falls between
    /// entries.
    @Test(arguments: Signal.allCases)
    func refusesTruncation(signal: Signal) {
        let request = RequestBuilder.make(signal, items: 3)
        for count in 1..<request.count {
            let found = fault(Array(request[..<count]), signal)
            #expect(found?.reason == .truncated, "\(count) of \(request.count) bytes")
        }
    }

    /// Scenario: requests of every shape, cut anywhere. Guarantees: no crash, and what passes is whole
    /// fields.
    @Test(arguments: Signal.allCases)
    func survivesTruncation(signal: Signal) {
        for seed in 0..<10 {
            let request = RandomRequest.make(signal, seed: UInt64(seed))
            let ends = plainFields(request).reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.raw.count) }
            for count in 0...request.count {
                #expect((fault(Array(request[..<count]), signal) == nil) == ends.contains(count))
            }
        }
    }

    /// Scenario: a bit that flipped anywhere. Guarantees: never a crash, whatever the verdict.
    @Test(arguments: Signal.allCases)
    func survivesFlippedBits(signal: Signal) {
        let request = RandomRequest.make(signal, seed: 5) + RequestBuilder.make(signal, items: 2)
        for index in request.indices {
            var damaged = request
            damaged[index] ^= 1 << UInt8(index % 8)
            if let fault = fault(damaged, signal) { #expect(fault.offset <= damaged.count) }
        }
    }

    /// Scenario: each field of a span with each other wire type. Guarantees: refused, as every destination
    /// would.
    @Test(arguments: [(1, 2), (5, 2), (6, 0), (7, 1), (9, 2), (10, 0), (11, 2), (15, 2), (16, 5)])
    func refusesWrongWireTypes(number: Int, wireType: Int) {
        for other in [0, 1, 2, 5] where other != wireType {
            let request = traceRequest { span in
                span.tag(number, other)
                span.bytes += Array(repeating: 0, count: [0: 1, 1: 8, 2: 1, 5: 4][other] ?? 0)
            }
            let found = fault(request, .traces)
            #expect(found?.reason == .wrongWireType)
            #expect(found?.fieldNumber == number)
            #expect(found?.message == "opentelemetry.proto.trace.v1.Span")
        }
    }

    /// Scenario: groups, wire types 6 and 7, field number 0, on known and unknown fields.
    /// Guarantees: refused; no destination could read them.
    @Test(arguments: [1, 5, 17, 40])
    func refusesGroups(number: Int) {
        for wireType in [3, 4, 6, 7] {
            let found = fault(traceRequest { $0.tag(number, wireType) }, .traces)
            #expect(found?.reason == .invalidWireType)
        }
        #expect(fault(traceRequest { $0.integer(0, 1) }, .traces)?.reason == .invalidFieldNumber)
        #expect(fault([0x80, 0x00, 0x01], .traces)?.reason == .invalidFieldNumber)
    }

    /// Scenario: long varints as values, tags and lengths. Guarantees: 64 bits pass, more do not.
    @Test func limitsVarints() {
        let nines = Array(repeating: UInt8(0xFF), count: 9)
        #expect(fault(traceRequest { $0.bytes = [0x30] + nines + [0x01] }, .traces) == nil)
        #expect(
            fault(traceRequest { $0.bytes = [0x30] + nines + [0x02] }, .traces)?.reason == .malformedVarint)
        #expect(
            fault(traceRequest { $0.bytes = [0x30] + nines + [0xFF, 0x01] }, .traces)?.reason
                == .malformedVarint)
        #expect(fault(traceRequest { $0.bytes = [0x30, 0x80] }, .traces)?.reason == .truncated)
        // Padded lengths and tags are legal: some encoders reserve room for them.
        #expect(
            fault(traceRequest { $0.bytes = [0x2A, 0x81, 0x80, 0x80, 0x80, 0x00, 0x41] }, .traces) == nil)
        #expect(fault(traceRequest { $0.bytes = [0xAA, 0x80, 0x00, 0x01, 0x41] }, .traces) == nil)
        #expect(
            fault(traceRequest { $0.bytes = [0x2A, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00, 0x41] }, .traces)?
                .reason
                == .malformedVarint)
        #expect(fault([0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0x00], .traces)?.reason == .malformedVarint)
    }

    /// Scenario: values in lists in lists. Guarantees: 64 deep passes, 65 does not, in lists and in maps.
    @Test(arguments: [(63, true), (64, true), (65, false), (66, false), (5000, false)])
    func limitsNesting(depth: Int, passes: Bool) {
        var list = message { $0.text(1, "x") }
        var map = list
        for _ in 1..<depth {
            list = message { $0.message(5) { $0.field(1, list) } }
            map = message { writer in
                writer.message(6) {
                    $0.message(1) {
                        $0.text(1, "k")
                        $0.field(2, map)
                    }
                }
            }
        }
        for value in [list, map] {
            let found = fault(
                traceRequest {
                    $0.message(9) {
                        $0.text(1, "k")
                        $0.field(2, value)
                    }
                }, .traces)
            #expect(found?.reason == (passes ? nil : .tooDeep))
        }
    }

    /// Scenario: a field that the schema does not know, on every level. Guarantees: passes if it is
    /// well-formed.
    @Test(arguments: [17, 31, 32, 2047, 536_870_911])
    func acceptsUnknownFields(number: Int) {
        let fields = message {
            $0.integer(number, 300)
            $0.fixed64(number, 1)
            $0.fixed32(number, 1)
            $0.field(number, [0xFF, 0xFE])
        }
        for level in 0..<4 {
            var request = fields
            for _ in 0..<level { request = message { $0.field(2, request) } }
            if level > 0 { request[0] = 0x0A }
            #expect(fault(request, .traces) == nil, "level \(level)")
            #expect(fault(Array(request.dropLast()), .traces)?.reason == .truncated, "level \(level)")
        }
    }

    /// Scenario: bucket counts and bounds, packed and not. Guarantees: packed ones pass, others are to be packed; a cut
    /// element does not.
    @Test func readsPackedLists() {
        func histogram(_ build: (inout ProtoWriter) -> Void) -> [UInt8] {
            message {
                $0.message(1) { $0.message(2) { $0.message(2) { $0.message(9) { $0.message(1, build) } } } }
            }
        }
        #expect(fault(histogram { $0.packedFixed64(6, [1, 2, 3]) }, .metrics) == nil)
        #expect(
            fault(
                histogram {
                    $0.fixed64(6, 1)
                    $0.fixed64(6, 2)
                }, .metrics)?.reason == .scattered)
        #expect(fault(histogram { $0.packedFixed64(7, []) }, .metrics) == nil)
        #expect(fault(histogram { $0.field(6, [1, 2, 3]) }, .metrics)?.reason == .malformedPackedList)
        func exponential(_ build: (inout ProtoWriter) -> Void) -> [UInt8] {
            message {
                $0.message(1) {
                    $0.message(2) {
                        $0.message(2) { $0.message(10) { $0.message(1) { $0.message(8, build) } } }
                    }
                }
            }
        }
        #expect(fault(exponential { $0.packedVarint(2, [1, 300, .max]) }, .metrics) == nil)
        #expect(fault(exponential { $0.integer(2, 300) }, .metrics)?.reason == .scattered)
        #expect(fault(exponential { $0.field(2, [0x80]) }, .metrics)?.reason == .malformedPackedList)
        #expect(
            fault(exponential { $0.field(2, Array(repeating: 0xFF, count: 11)) }, .metrics)?.reason
                == .malformedVarint)
    }

    /// Scenario: ids of every length, in spans, links, log records and exemplars. Guarantees: one of a wrong length is
    /// refused and named; in a batch, a backend would refuse everybody's data for it.
    @Test(arguments: 0...20)
    func idsHaveTheirLength(count: Int) {
        let id = Array(repeating: UInt8(7), count: count)
        func log(_ number: Int) -> [UInt8] {
            message { $0.message(1) { $0.message(2) { $0.message(2) { $0.field(number, id) } } } }
        }
        func exemplar(_ number: Int, kind: Int, point: Int) -> [UInt8] {
            message {
                $0.message(1) {
                    $0.message(2) {
                        $0.message(2) {
                            $0.message(kind) { $0.message(1) { $0.message(point) { $0.field(number, id) } } }
                        }
                    }
                }
            }
        }
        let traceIDs: [([UInt8], Signal)] = [
            (traceRequest { $0.field(1, id) }, .traces),
            (traceRequest { $0.message(13) { $0.field(1, id) } }, .traces), (log(9), .logs),
            (exemplar(5, kind: 5, point: 5), .metrics), (exemplar(5, kind: 9, point: 8), .metrics),
            (exemplar(5, kind: 10, point: 11), .metrics),
        ]
        let spanIDs: [([UInt8], Signal)] = [
            (traceRequest { $0.field(2, id) }, .traces), (traceRequest { $0.field(4, id) }, .traces),
            (traceRequest { $0.message(13) { $0.field(2, id) } }, .traces), (log(10), .logs),
            (exemplar(4, kind: 5, point: 5), .metrics), (exemplar(4, kind: 9, point: 8), .metrics),
            (exemplar(4, kind: 10, point: 11), .metrics),
        ]
        for (cases, expected) in [(traceIDs, 16), (spanIDs, 8)] {
            for (request, signal) in cases {
                let reason = fault(request, signal)?.reason
                let isRight = count == 0 || count == expected
                #expect(reason == (isRight ? nil : .wrongIDLength(bytes: count, expected: expected)))
            }
        }
        let short = fault(traceRequest { $0.field(4, [1, 2]) }, .traces)
        #expect(
            short?.description
                == "an id of 2 bytes, which must have 8 or none, at byte 6, in opentelemetry.proto.trace.v1.Span"
                + " field 4 (parent_span_id)")
    }

    /// Scenario: an operator reads a refusal in the log. Guarantees: reason, byte, message and field are
    /// named.
    @Test func namesThePlace() {
        let request = traceRequest { $0.field(5, [0x41, 0xFF]) }
        let found = fault(request, .traces)
        #expect(
            found?.description
                == "invalid UTF-8 at byte \(request.count - 1), in opentelemetry.proto.trace.v1.Span"
                + " field 5 (name)"
        )
        #expect(
            fault([0x0A, 0x05], .logs)?.description
                == "truncated field at byte 0, in opentelemetry.proto.collector.logs.v1"
                + ".ExportLogsServiceRequest field 1 (resource_logs)")
    }
}
