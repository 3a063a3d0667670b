import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// What a change of resources does where it is written in front of bytes that stay: it must be seen by nobody but those behind it.
@Suite("Changed in front")
struct ChangedInFrontTests {
    /// Changes resources, and sometimes more, the same way for the same seed.
    private final class Changing: RequestTransform {
        let changesItems = false
        let seed = Noted<UInt64>(0)

        func apply(to request: RequestEditor, _ context: EditContext) {
            var random = SeededRandom(seed: seed.value)
            request.forEachResource { place in
                let table = request.attributes(place.resource, Field.Resource.attributes)
                for number in 0..<random.below(4) {
                    let key = request.keep("key.\(random.below(4))")
                    if random.below(3) == 0 { request.remove(key, in: table) }
                    let text = String(repeating: "v\(number)", count: random.below(2) * random.below(300))
                    if random.below(3) > 0 { request.set(key, to: .string(request.keep(text)), in: table) }
                }
                if random.below(8) == 0 {
                    request.forEachScope(of: place) { scope in
                        request.setContent(scope.scope, Field.Scope.name, request.keep("changed"))
                        guard random.below(2) == 0 else { return .keep }
                        request.forEachItem(of: scope) { item in
                            if random.below(20) == 0 {
                                request.setContent(item.item, Field.Span.name, request.keep("changed"))
                            }
                            return .keep
                        }
                        return .keep
                    }
                }
                return .keep
            }
        }
    }

    private final class Sink: Consumer {
        let batches = Noted<[Batch]>([])
        let refusal = Noted<Refusal?>(nil)
        /// What it has seen of batches that it refused: it keeps them.
        let refused = Noted<[Slice]>([])
        let keepsRefused = Noted(false)

        func consume(_ batch: Batch) -> Refusal? {
            batch.seal()
            if let refusal = refusal.value {
                if keepsRefused.value { refused.change { $0 += batch.slices } }
                return refusal
            }
            batch.enter()
            batches.change { $0.append(batch) }
            return nil
        }

        func drop(_ batch: Batch, because refusal: Refusal) {}
        func takeLast() -> Batch? { batches.change { $0.popLast() } }
    }

    private let transform = Changing()
    private let sink = Sink()
    private let ledger = MemoryLedger()
    private let pool = BufferPool(eventLoop: EmbeddedEventLoop())
    private let processor: EditingProcessor

    init() {
        let context = ComponentContext.alone(
            .processor, "changing", on: EmbeddedEventLoop(), ledger: ledger)
        processor = EditingProcessor(transform, context, next: PipelineInput(sink))
    }

    /// Mostly one resource in front of many spans, as SDKs send them; sometimes several, none, behind, or with unknown fields.
    private static func request(_ random: inout SeededRandom) -> [UInt8] {
        var writer = ProtoWriter()
        for _ in 0..<(random.below(4) == 0 ? 1 + random.below(3) : 1) {
            var resource = ProtoWriter()
            for number in 0..<random.below(5) {
                resource.message(1) {
                    $0.text(1, "key.\(number)")
                    $0.message(2) { $0.text(1, String(repeating: "x", count: 40 * (number % 2))) }
                }
            }
            let place = random.below(8)
            let (spans, unknown) = (random.below(120), random.below(4))
            writer.message(1) { entry in
                if place > 1 { entry.field(1, resource.bytes) }
                entry.message(2) { scope in
                    if unknown == 1 { scope.message(1) { $0.text(1, "scope") } }
                    for span in 0..<spans {
                        scope.message(2) { $0.text(5, "span \(span)" + String(repeating: ".", count: 100)) }
                    }
                }
                if place == 1 { entry.field(1, resource.bytes) }
                if unknown == 2 { entry.text(900, "unknown") }
            }
        }
        if random.below(6) == 0 { writer.text(901, "unknown") }
        return writer.bytes
    }

    private func given(_ bytes: [UInt8], acknowledgement: Acknowledgement? = nil) -> Batch {
        let payload = Payload(capacity: bytes.count, pool: pool, ledger: ledger)
        payload.bytes.writeBytes(bytes)
        return Batch(
            .traces, payload: payload, items: 1, acknowledgement: acknowledgement, isGiven: true)
    }

    private func bytes(_ batch: Batch?) -> [UInt8] { batch?.slices.flatMap { Array(buffer: $0.bytes) } ?? [] }

    /// What the processor makes of it by copying.
    private func copied(_ request: [UInt8], _ processor: EditingProcessor? = nil) -> [UInt8] {
        let batch = Batch(.traces, payload: Payload(ByteBuffer(bytes: request)), items: 1)
        #expect((processor ?? self.processor).consume(batch) == nil)
        return bytes(sink.takeLast())
    }

    private func address(_ batch: Batch?) -> UInt? {
        batch?.slices.first?.payload.bytes.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.map { UInt(bitPattern: $0) + UInt(bytes.count) }
        }
    }

    /// Wrong bytes would be wrong data for every backend, and often; a charge that is not released ends in a gateway that refuses
    /// everything.
    @Test(
        "random changes of random requests are the same bytes as when they are copied",
        arguments: 0..<4 as Range<UInt64>)
    func equalsCopying(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var inPlace = 0
        for round in 0..<400 {
            let request = Self.request(&random)
            transform.seed.value = seed << 32 | UInt64(round)
            let wanted = copied(request)
            let batch = given(request)
            let (end, charged) = (address(batch), ledger.bytes)
            #expect(processor.consume(batch) == nil)
            let result = sink.takeLast()
            #expect(bytes(result) == wanted)
            #expect(result?.bytes == wanted.count)
            if wanted != request, result === batch {
                inPlace += 1
                #expect(address(result) == end, "the rest has moved")
                #expect(ledger.bytes == charged)
            }
        }
        // Else each request costs a copy again, and all of this shows nothing.
        #expect(inPlace > 40)
        #expect(ledger.bytes < 2 << 20)
    }

    /// Two processors behind each other both change the resource; a front for which there is no room must not be half written.
    @Test(
        "changes behind changes are the same bytes, until there is no room in front",
        arguments: 0..<4 as Range<UInt64>)
    func manyBehindEachOther(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var last: any Consumer = sink
        for number in 0..<6 {
            let context = ComponentContext.alone(
                .processor, "changing/\(number)", on: EmbeddedEventLoop(), ledger: ledger)
            last = EditingProcessor(transform, context, next: PipelineInput(last))
        }
        for round in 0..<100 {
            let request = Self.request(&random)
            transform.seed.value = seed << 32 | UInt64(round)
            let wanted = (0..<6).reduce(request) { bytes, _ in copied(bytes) }
            #expect(last.consume(given(request)) == nil)
            #expect(bytes(sink.takeLast()) == wanted)
        }
    }

    /// A client that sends again, a fan-out that offers it to somebody else, would send what was changed twice.
    @Test(
        "a refused batch has the bytes that it had, also when who refused it keeps them",
        arguments: [false, true])
    func refusals(isKept: Bool) {
        var random = SeededRandom(seed: 7)
        let second = EditingProcessor(
            transform, .alone(.processor, "changing/2", on: EmbeddedEventLoop(), ledger: ledger),
            next: PipelineInput(processor))
        sink.keepsRefused.value = isKept
        for round in 0..<200 {
            let request = Self.request(&random)
            transform.seed.value = UInt64(round)
            let wanted = copied(request, second)
            let batch = given(request)
            let members = Payload(ByteBuffer(string: "members"))
            let payload = Payload(ByteBuffer(bytes: request))
            payload.gzipMembers = members
            let kept = Batch(.traces, payload: payload, items: 1, isGiven: true)
            sink.refusal.value = Refusal(.queueFull, "full")
            for batch in [batch, kept] {
                #expect(second.consume(batch)?.reason == .queueFull)
                #expect(bytes(batch) == request)
                #expect(batch.bytes == request.count)
            }
            #expect(kept.slices.first?.gzipMembers?.readableBytes == 7)
            for slice in sink.refused.change({ slices in
                defer { slices = [] }
                return slices
            }) {
                #expect(Array(buffer: slice.bytes) == wanted)
            }
            sink.refusal.value = nil
            #expect(second.consume(batch) == nil)
            #expect(bytes(sink.takeLast()) == wanted)
        }
    }

    /// Two pipelines would each see the other's changes, or half of them.
    @Test("bytes that somebody else has, too, are never touched")
    func sharing() {
        var random = SeededRandom(seed: 3)
        let others = Sink()
        let fanOut = FanOut([processor, others, processor])
        let accepted = MetricRegistry().counter("accepted", help: "")
        var items = 0
        for round in 0..<200 {
            let request = Self.request(&random)
            transform.seed.value = UInt64(round)
            let wanted = copied(request)
            let batch = given(request)
            items += batch.items
            batch.entry = Batch.Entry(accepted, items: batch.items)
            #expect(fanOut.consume(batch) == nil)
            // Otherwise a receiver's count is as many times what came as it has pipelines.
            #expect(accepted.value == UInt64(items))
            #expect(bytes(others.takeLast()) == request)
            #expect(bytes(sink.takeLast()) == wanted)
            #expect(bytes(sink.takeLast()) == wanted)
            #expect(bytes(batch) == request)
            // Another batch, a slice, a payload, a buffer: whoever has the bytes keeps them as they are.
            for holder in 0..<4 {
                let batch = given(request)
                let copy = holder == 0 ? batch.copy() : nil
                let slice = holder == 1 ? batch.slices.first : nil
                let payload = holder == 2 ? batch.slices.first?.payload : nil
                let buffer = holder == 3 ? batch.slices.first?.bytes : nil
                #expect(processor.consume(batch) == nil)
                #expect(bytes(sink.takeLast()) == wanted)
                for held in [copy?.slices.first?.bytes, slice?.bytes, payload?.bytes, buffer] {
                    if let held { #expect(Array(buffer: held) == request) }
                }
            }
        }
    }

    /// An exporter that passes gzip members on would send what was received, not what was changed.
    @Test("gzip members of changed bytes are not passed on")
    func gzipMembers() {
        var random = SeededRandom(seed: 5)
        var kept = 0
        for round in 0..<100 {
            let request = Self.request(&random)
            transform.seed.value = UInt64(round)
            let payload = Payload(capacity: request.count, pool: pool, ledger: ledger)
            payload.bytes.writeBytes(request)
            payload.gzipMembers = Payload(ByteBuffer(string: "members"))
            let wanted = copied(request)
            #expect(processor.consume(Batch(.traces, payload: payload, items: 1, isGiven: true)) == nil)
            let isKept = sink.takeLast()?.slices.first?.gzipMembers != nil
            #expect(!isKept || wanted == request)
            if isKept { kept += 1 }
        }
        #expect(kept > 0)
    }

    /// Without it each change of a resource costs a copy of the request.
    @Test("buffers leave free in front what they have more than was asked for, and no more than that")
    func headRoom() {
        for (asked, room) in [(1024, 0), (1100, 896), (3000, 1024), (65_536, 0), (65_500, 0), (46_000, 1024)]
        {
            let payload = Payload(capacity: asked, pool: pool, ledger: ledger)
            #expect(payload.bytes.readerIndex == room && payload.bytes.readableBytes == 0)
            #expect(payload.bytes.writableBytes >= asked)
            #expect(ledger.bytes == BufferPool.roundedCapacity(asked))
        }
    }
}
