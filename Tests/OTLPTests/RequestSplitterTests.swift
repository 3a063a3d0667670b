import OTLP
import TestSupport
import Testing

/// An item with everything around it: what a destination makes of a request.
struct FlatItem: Equatable {
    /// For each level from the outermost: the fields that do not lead to items, in order.
    var envelopes: [[[UInt8]]]
    var item: [UInt8]
}

/// All items of a request, read plainly.
func flatten(_ request: [UInt8], _ signal: Signal) -> [FlatItem] {
    var items: [FlatItem] = []
    func walk(_ message: [UInt8], _ level: Int, _ envelopes: [[[UInt8]]]) {
        let children: [Int] = [[1], [2], [2], [5, 7, 9, 10, 11], [1]][level]
        let fields = plainFields(message)
        func isChild(_ field: PlainField) -> Bool { children.contains(field.number) && field.wireType == 2 }
        let envelopes = envelopes + [fields.filter { !isChild($0) }.map(\.raw)]
        for field in fields where isChild(field) {
            if level == (signal == .metrics ? 4 : 2) {
                items.append(FlatItem(envelopes: envelopes, item: field.raw))
            } else {
                walk(field.content, level + 1, envelopes)
            }
        }
    }
    walk(request, 0, [])
    return items
}

/// The bytes of a piece.
func assemble(_ piece: SplitPiece, of request: [UInt8]) -> [UInt8] {
    piece.segments.flatMap { segment -> [UInt8] in
        switch segment {
        case .original(let offset, let count): Array(request[offset..<offset + count])
        case .bytes(let bytes): bytes
        }
    }
}

/// All pieces of a request; the limits may differ from piece to piece.
func split(
    _ request: [UInt8], _ signal: Signal, limits: () -> (items: Int, bytes: Int)
) -> [(piece: SplitPiece, items: Int, bytes: Int)] {
    request.withUnsafeBytes { bytes in
        var splitter = RequestSplitter(bytes, signal)
        var pieces: [(SplitPiece, Int, Int)] = []
        while true {
            let limit = limits()
            guard let piece = splitter.next(maxItems: limit.items, maxBytes: limit.bytes) else { break }
            pieces.append((piece, limit.items, limit.bytes))
        }
        let isAtEnd = splitter.isAtEnd
        precondition(isAtEnd)
        return pieces
    }
}

@Suite struct RequestSplitterTests {
    /// Scenario: requests of every shape, limits of every size that change from piece to piece.
    /// Guarantees: every item comes out once, in order, with its resource, scope and metric around it;
    /// every piece is a valid request within its limits, unless it is one item that is too large by itself.
    @Test(arguments: Signal.allCases)
    func losesNothingAndKeepsLimits(signal: Signal) throws {
        for seed in 0..<400 {
            var random = SeededRandom(seed: UInt64(seed) + 77)
            let request = RandomRequest.make(signal, seed: UInt64(seed))
            let limitItems = random.below(3) > 0
            let limitBytes = random.below(3) > 0
            let pieces = split(request, signal) {
                (limitItems ? random.below(12) + 1 : .max, limitBytes ? random.below(2000) + 1 : .max)
            }
            var items: [FlatItem] = []
            for (piece, maxItems, maxBytes) in pieces {
                let bytes = assemble(piece, of: request)
                let found = try summary(bytes, signal)
                #expect(found.items == piece.items && bytes.count == piece.bytes, "seed \(seed)")
                #expect(piece.items <= maxItems, "seed \(seed)")
                #expect(piece.isOversized == (piece.bytes > maxBytes), "seed \(seed)")
                #expect(!piece.isOversized || piece.items <= 1, "seed \(seed)")
                items += flatten(bytes, signal)
            }
            #expect(items == flatten(request, signal), "seed \(seed)")
        }
    }

    /// Scenario: only items are limited. Guarantees: every piece but the last is full, so batches have the
    /// size asked.
    @Test(arguments: Signal.allCases, [1, 3, 50, 64, 99])
    func fillsPieces(signal: Signal, maxItems: Int) throws {
        let request =
            RequestBuilder.make(signal, items: 100) + RequestBuilder.make(signal, items: 30, seed: 9)
        let pieces = split(request, signal) { (maxItems, .max) }
        #expect(pieces.dropLast().allSatisfy { $0.piece.items == maxItems })
        #expect(pieces.map(\.piece.items).reduce(0, +) == 130)
    }

    /// Scenario: only bytes are limited. Guarantees: pieces come close to the limit instead of being crumbs.
    @Test(arguments: Signal.allCases)
    func fillsBytes(signal: Signal) throws {
        let request = RequestBuilder.make(signal, items: 200)
        let limit = 8000
        let pieces = split(request, signal) { (.max, limit) }
        #expect(pieces.dropLast().allSatisfy { $0.piece.bytes <= limit && $0.piece.bytes > limit - 800 })
    }

    /// Scenario: a request within the limits. Guarantees: it leaves as it came, one segment, nothing
    /// written anew.
    @Test(arguments: Signal.allCases)
    func passesWholeRequests(signal: Signal) {
        let request = RequestBuilder.make(signal, items: 100)
        let pieces = split(request, signal) { (100, request.count) }
        #expect(pieces.map(\.piece.segments) == [[.original(offset: 0, count: request.count)]])
        #expect(pieces.first?.piece.items == 100)
    }

    /// Scenario: many items in a piece. Guarantees: runs of items are one segment, so that sending is a few
    /// writes.
    @Test func joinsRuns() {
        let request = RequestBuilder.makeTraces(spans: 1000)
        for (piece, _, _) in split(request, .traces, limits: { (300, .max) }) {
            #expect(piece.segments.count <= 5)
        }
    }

    /// Scenario: one item larger than the limit, among small ones. Guarantees: it is alone in its piece and
    /// flagged.
    @Test func isolatesLargeItems() {
        let request = message {
            $0.message(1) {
                $0.message(2) { scope in
                    for name in ["a", String(repeating: "b", count: 500), "c"] {
                        scope.message(2) { $0.text(5, name) }
                    }
                }
            }
        }
        let pieces = split(request, .traces) { (.max, 100) }
        #expect(pieces.map(\.piece.items) == [1, 1, 1])
        #expect(pieces.map(\.piece.isOversized) == [false, true, false])
    }

    /// Scenario: the items stand before the resource and the scope. Guarantees: the pieces have both all
    /// the same.
    @Test func repeatsEnvelopesThatFollow() {
        let request = message {
            $0.message(1) {
                $0.message(2) { scope in
                    for name in ["a", "b", "c"] { scope.message(2) { $0.text(5, name) } }
                    scope.message(1) { $0.text(1, "scope") }
                }
                $0.message(1) { $0.attribute(1, "service.name", "late") }
            }
        }
        let pieces = split(request, .traces) { (1, .max) }
        #expect(pieces.count == 3)
        for (piece, _, _) in pieces {
            let flat = flatten(assemble(piece, of: request), .traces)
            #expect(flat.first?.envelopes.map(\.count) == [0, 1, 1])
        }
    }

    /// Scenario: resources without items between and behind others. Guarantees: each comes out once.
    @Test func keepsEmptyEntries() {
        func entry(_ service: String, spans: Int) -> [UInt8] {
            message {
                $0.message(1) {
                    $0.message(1) { $0.attribute(1, "service.name", service) }
                    $0.message(2) { scope in for _ in 0..<spans { scope.message(2) { $0.text(5, "s") } } }
                }
            }
        }
        let request =
            entry("a", spans: 2) + entry("b", spans: 0) + entry("c", spans: 2) + entry("d", spans: 0)
        let pieces = split(request, .traces) { (2, .max) }
        #expect(pieces.map(\.piece.items) == [2, 2])
        #expect(pieces.flatMap { assemble($0.piece, of: request) } == request)
    }

    /// Scenario: a batcher takes what fits now and the rest later. Guarantees: limits may change between
    /// pieces.
    @Test func resumesWithOtherLimits() throws {
        let request = RequestBuilder.makeMetrics(points: 100)
        request.withUnsafeBytes { bytes in
            var splitter = RequestSplitter(bytes, .metrics)
            #expect(splitter.next(maxItems: 30, maxBytes: .max)?.items == 30)
            #expect(splitter.next(maxItems: 1, maxBytes: .max)?.items == 1)
            #expect(splitter.next(maxItems: .max, maxBytes: .max)?.items == 69)
            #expect(splitter.next(maxItems: .max, maxBytes: .max) == nil)
        }
    }
}
