import OTLP
import TestSupport
import Testing

/// The form for processors that edit; whoever goes through it must lose nothing.
@Suite struct RequestTreeTests {
    static func tree(_ bytes: [UInt8], _ signal: Signal, _ arena: TreeArena) throws -> RequestTree {
        try bytes.withUnsafeBytes { try RequestTree(decoding: $0, as: signal, in: arena) }
    }

    /// Scenario: requests of every shape, to trees and back, in one arena.
    /// Guarantees: what the pass accepts has a tree with the same items; its bytes are a valid request and
    /// stable.
    @Test(arguments: Signal.allCases)
    func keepsEverything(signal: Signal) throws {
        let arena = TreeArena(limitBytes: 16 << 20)
        for seed in 0..<300 {
            let request = RandomRequest.make(signal, seed: UInt64(seed))
            let items = try summary(request, signal).items
            let first = try Self.tree(request, signal, arena)
            #expect(first.itemCount == items, "seed \(seed)")
            let encoded = first.encode()
            withExtendedLifetime(first) {}
            #expect(try summary(encoded, signal).items == items, "seed \(seed)")
            let second = try Self.tree(encoded, signal, TreeArena(limitBytes: 16 << 20))
            #expect(second.encode() == encoded, "seed \(seed)")
        }
    }

    /// Scenario: requests as SDKs write them. Guarantees: byte for byte the same after a tree.
    @Test(arguments: Signal.allCases)
    func returnsUsualRequestsUnchanged(signal: Signal) throws {
        let request = RequestBuilder.make(signal, items: 20)
        let arena = TreeArena(limitBytes: 16 << 20)
        let encoded = try Self.tree(request, signal, arena).encode()
        #expect(encoded == request)
    }

    /// Scenario: an arena too small for the tree, by any amount. Guarantees: an error, no crash; the arena
    /// works on.
    @Test func limitsMemory() throws {
        let request = RandomRequest.make(.metrics, seed: 6) + RequestBuilder.makeMetrics(points: 4)
        let roomy = TreeArena(limitBytes: 16 << 20)
        let used = try {
            try withExtendedLifetime(Self.tree(request, .metrics, roomy)) { _ in roomy.usedBytes }
        }()
        #expect(roomy.usedBytes == 0)
        for limit in stride(from: 16, to: used, by: 48) {
            let arena = TreeArena(limitBytes: limit)
            #expect(throws: TreeError.arenaFull(limitBytes: limit)) {
                try Self.tree(request, .metrics, arena)
            }
            #expect(try Self.tree([], .metrics, TreeArena(limitBytes: 1024)).itemCount == 0)
        }
        #expect(try Self.tree(request, .metrics, TreeArena(limitBytes: used)).itemCount > 0)
    }

    /// Scenario: text with a NUL byte. Guarantees: an error, not text that ends early; as bytes it still
    /// passes.
    @Test func refusesTextThatItWouldCut() throws {
        let arena = TreeArena(limitBytes: 1 << 20)
        for request in [
            traceRequest { $0.text(5, "a\0b") }, traceRequest { $0.attribute(9, "k", "\0") },
            traceRequest { $0.attribute(9, "k\0", 5) },
        ] {
            #expect(fault(request, .traces) == nil)
            let error = #expect(throws: TreeError.self) { try Self.tree(request, .traces, arena) }
            guard case .invalid(let wireError) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(wireError.reason == .nulInText)
        }
    }

    /// Scenario: a field twice where once is enough, with nothing to merge in it, which is legal and odd.
    /// Guarantees: an error that says so, not one about memory; as bytes it passes.
    @Test func refusesWhatItCannotMerge() throws {
        let arena = TreeArena(limitBytes: 1 << 20)
        let request = traceRequest {
            $0.message(9) {
                $0.text(1, "k")
                $0.field(2, [])
                $0.field(2, [])
            }
        }
        #expect(fault(request, .traces) == nil)
        let error = #expect(throws: TreeError.self) { try Self.tree(request, .traces, arena) }
        guard case .invalid(let wireError) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(wireError.reason == .occursTwice)
    }

    /// Scenario: bytes that are no request. Guarantees: the same refusal as the pass's, and the arena works
    /// on.
    @Test func refusesWhatThePassRefuses() throws {
        let arena = TreeArena(limitBytes: 1 << 20)
        #expect(throws: TreeError.self) { try Self.tree([0x0A, 0x05], .logs, arena) }
        #expect(try Self.tree(RequestBuilder.makeLogs(records: 3), .logs, arena).itemCount == 3)
    }
}
