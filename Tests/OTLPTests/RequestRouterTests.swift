import OTLP
import TestSupport
import Testing

/// The first field of this number in a message, read plainly.
private func content(_ number: Int, in message: [UInt8]) -> [UInt8]? {
    plainFields(message).first { $0.number == number && $0.wireType == 2 }?.content
}

/// Where an item belongs by the rules, read plainly.
private func place(_ item: ItemInContext, _ signal: Signal, _ key: RoutingKey, _ destinations: Int) -> Int {
    let resource = content(1, in: item.around[1])
    var bytes: [UInt8] = []
    if key == .resource || key == .stream {
        // In any order: a sum.
        let sum = plainFields(resource ?? []).filter { $0.number == 1 && $0.wireType == 2 }
            .reduce(UInt64(0)) { $0 &+ RoutingHash.of($1.content) }
        func bytes(_ word: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
        let hash = RoutingHash.of(bytes(sum) + bytes(0))
        guard key == .stream else { return Int(hash % UInt64(destinations)) }
        let name = RoutingHash.of(content(1, in: item.around[3]) ?? [])
        return Int(RoutingHash.of(bytes(name) + bytes(hash)) % UInt64(destinations))
    }
    if key == .metric {
        bytes = content(1, in: item.around[3]) ?? []
    } else if key == .service {
        for attribute in plainFields(resource ?? []) where attribute.number == 1 && attribute.wireType == 2 {
            guard content(1, in: attribute.content) == Array("service.name".utf8),
                let value = content(2, in: attribute.content), let text = content(1, in: value)
            else { continue }
            bytes = text
            break
        }
    } else {
        let own = plainFields(item.item)[0].content
        let id = content(signal == .logs ? 9 : 1, in: own) ?? []
        bytes = id.count == 16 && id.contains { $0 != 0 } ? id : resource ?? []
    }
    return Int(RoutingHash.of(bytes) % UInt64(destinations))
}

/// The parts of a request, by destination.
private func parts(_ request: [UInt8], _ router: inout RequestRouter, _ destinations: Int) -> [[UInt8]?] {
    var parts = [[UInt8]?](repeating: nil, count: destinations)
    request.withUnsafeBytes { bytes in
        if let whole = router.route(bytes, destination: { Int($0 % UInt64(destinations)) }) {
            parts[whole] = request
            return
        }
        for index in 0..<destinations {
            let size = router.measure(index)
            guard size.items > 0 else { continue }
            var part = [UInt8](repeating: 0, count: size.bytes)
            part.withUnsafeMutableBytes { router.write(index, of: bytes, to: $0) }
            parts[index] = part
        }
    }
    return parts
}

/// Without these a trace's spans end up at several backends, or spans get lost or lose their resource on the way.
@Suite("RequestRouter")
struct RequestRouterTests {
    private func check(
        _ request: [UInt8], _ signal: Signal, _ key: RoutingKey, _ router: inout RequestRouter,
        _ destinations: Int, _ seed: UInt64
    ) throws {
        let expected = itemsInContext(request, signal)
        for (index, part) in parts(request, &router, destinations).enumerated() {
            let own = expected.filter { place($0, signal, key, destinations) == index }
            guard let part else {
                #expect(own.isEmpty, "seed \(seed): nothing for \(index)")
                continue
            }
            #expect(itemsInContext(part, signal) == own, "seed \(seed), destination \(index)")
            let summary = try part.withUnsafeBytes { try summarize($0, as: signal) }
            #expect(summary.items == own.count, "seed \(seed), destination \(index)")
        }
    }

    @Test(
        "requests of every shape: every item is at the one destination that its key has, in order, in its envelopes",
        arguments: [
            (Signal.traces, RoutingKey.traceID), (.traces, .service), (.logs, .traceID), (.logs, .service),
            (.metrics, .service), (.traces, .resource), (.metrics, .resource), (.metrics, .metric),
            (.metrics, .stream),
        ])
    func anyRequest(signal: Signal, key: RoutingKey) throws {
        var divided = 0
        for destinations in 1...5 {
            var router = RequestRouter(signal, key: key, destinations: destinations)
            for seed in 0..<200 as Range<UInt64> {
                var request = RandomRequest.make(signal, seed: seed &* 31 &+ UInt64(destinations))
                if key.keepsResources { request = withServices(request, signal, seed) }
                try check(request, signal, key, &router, destinations, seed)
                if parts(request, &router, destinations).count(where: { $0 != nil }) > 1 { divided += 1 }
            }
        }
        #expect(divided > 100)
    }

    /// Adds resources of a few services.
    private func withServices(_ request: [UInt8], _ signal: Signal, _ seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var all = random.below(2) == 0 ? request : []
        for _ in 0..<random.below(5) {
            let service = "service-\(random.below(6))"
            let items = random.below(4)
            switch signal {
            case .traces: all += RequestBuilder.makeTraces(spans: items, seed: seed, service: service)
            case .metrics: all += RequestBuilder.makeMetrics(points: items, seed: seed, service: service)
            case .logs: all += RequestBuilder.makeLogs(records: items, seed: seed, service: service)
            }
        }
        return all
    }

    /// Few traces over many resources and scopes, and spans without a trace id: runs of every length.
    @Test(
        "a trace's spans stay together, whatever resource, scope and request they are in",
        arguments: [Signal.traces, .logs])
    func fewTraces(signal: Signal) throws {
        for seed in 0..<300 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let traces = (0..<random.below(6) + 1).map { _ in random.bytes(16) }
            let invalid: [[UInt8]] = [[], Array(repeating: 0, count: 16)]
            let destinations = random.below(4) + 2
            var router = RequestRouter(signal, key: .traceID, destinations: destinations)
            var request = ProtoWriter()
            for _ in 0..<random.below(4) {
                request.message(1) { resource in
                    if random.below(4) > 0 {
                        resource.message(1) { $0.attribute(1, "service.name", "s\(random.below(3))") }
                    }
                    for _ in 0..<random.below(3) {
                        resource.message(2) { scope in
                            scope.message(1) { $0.text(1, "scope") }
                            for _ in 0..<random.below(12) {
                                let stays = random.below(3) > 0
                                let index = stays ? 0 : random.below(traces.count)
                                let id = random.below(8) == 0 ? invalid[random.below(2)] : traces[index]
                                scope.message(2) {
                                    $0.text(signal == .logs ? 3 : 5, "item")
                                    if !id.isEmpty { $0.field(signal == .logs ? 9 : 1, id) }
                                }
                            }
                        }
                    }
                }
            }
            try check(request.bytes, signal, .traceID, &router, destinations, seed)
        }
    }

    @Test("a request without items goes one way, whole")
    func empty() {
        var router = RequestRouter(.traces, key: .traceID, destinations: 3)
        #expect(parts([], &router, 3).count { $0 != nil } == 1)
        let resource: [UInt8] = [0x0A, 0x02, 0x0A, 0x00]
        #expect(parts(resource, &router, 3).compactMap { $0 } == [resource])
    }
}
