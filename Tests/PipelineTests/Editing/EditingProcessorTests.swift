import Configuration
import NIOCore
import NIOEmbedded
import OTLP
import Pipeline
import TestSupport
import Testing

/// The node around every processor that changes data: what it counts, what it does with refusals, and who hears of what.
@Suite("EditingProcessor")
struct EditingProcessorTests {
    /// Removes spans named "drop", marks the others; refuses what has one named "refuse".
    private final class Marking: RequestTransform {
        func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
            try request.forEachItem(pruning: true) { item throws(Refusal) in
                let name = request.content(item.item, Field.Span.name)
                if name == "refuse" { throw Refusal(.rejected, "refused by the test", isPermanent: true) }
                if name == "drop" { return .remove }
                if name == "mark" { request.setContent(item.item, Field.Span.name, request.keep("marked")) }
                return .keep
            }
        }
    }

    private final class Sink: Consumer {
        let batches = Noted<[Batch]>([])
        let dropped = Noted<[Batch]>([])
        let refusal = Noted<Refusal?>(nil)

        func consume(_ batch: Batch) -> Refusal? {
            if let refusal = refusal.value { return refusal }
            batch.enter()
            batches.change { $0.append(batch) }
            return nil
        }

        func drop(_ batch: Batch, because refusal: Refusal) { dropped.change { $0.append(batch) } }
    }

    private final class NoRoom: AdmissionControl {
        func admit(bytes: Int) -> Refusal? { Refusal(.memory, "no room for \(bytes) bytes") }
        var shouldPause: Bool { false }
    }

    private let sink = Sink()
    private let ledger = MemoryLedger()
    private let context: ComponentContext
    private let processor: EditingProcessor

    init() {
        context = .alone(.processor, "marking", on: EmbeddedEventLoop(), ledger: ledger)
        processor = EditingProcessor(Marking(), context, next: PipelineInput(sink))
    }

    private func request(_ names: [String]) -> [UInt8] {
        var writer = ProtoWriter()
        writer.message(1) {
            $0.message(2) { scope in for name in names { scope.message(2) { $0.text(5, name) } } }
        }
        return writer.bytes
    }

    private func slice(_ names: [String], _ acknowledgement: Acknowledgement? = nil) -> Slice {
        let bytes = request(names)
        return Slice(
            Payload(ByteBuffer(bytes: bytes)), offset: 0, count: bytes.count, items: names.count,
            acknowledgement: acknowledgement)
    }

    private func batch(_ slices: Slice...) -> Batch {
        let batch = Batch(.traces)
        for slice in slices { batch.append(slice) }
        return batch
    }

    private func bytes(_ batch: Batch?) -> [UInt8] { batch?.slices.flatMap { Array(buffer: $0.bytes) } ?? [] }

    /// A copy for nothing would cost every request its speed, and gzip members their passing on.
    @Test("a request in which nothing changes goes on as the slice that it was")
    func unchanged() throws {
        let slice = slice(["a", "b"])
        #expect(processor.consume(batch(slice)) == nil)
        let passed = try #require(sink.batches.value.first?.slices.first)
        #expect(passed.payload === slice.payload)
        #expect(context.account.read().left == 2)
    }

    /// Data that is neither in nor out nor dropped is lost for whoever looks for it.
    @Test("items that are removed are dropped by reason, the others arrive changed")
    func counts() {
        #expect(processor.consume(batch(slice(["mark", "drop", "a"]))) == nil)
        #expect(bytes(sink.batches.value.first) == request(["marked", "a"]))
        #expect(sink.batches.value.first?.items == 2)
        let reading = context.account.read()
        #expect(
            reading.entered == 3 && reading.left == 2 && reading.dropped[.filtered] == 1
                && reading.inside == 0)
    }

    /// A client that waits for a request of which nothing is left would wait for ever.
    @Test("who waits for a slice of which nothing is left is told, the others when theirs are settled")
    func acknowledgements() {
        let first = Noted<[Outcome]>([])
        let second = Noted<[Outcome]>([])
        let emptied = slice(["drop"], Acknowledgement { outcome in first.change { $0.append(outcome) } })
        let kept = slice(
            ["mark", "drop"], Acknowledgement { outcome in second.change { $0.append(outcome) } })
        #expect(processor.consume(batch(emptied, kept)) == nil)
        #expect(first.value == [.accepted] && second.value.isEmpty)
        sink.batches.value.first?.settle(.accepted)
        #expect(second.value == [.accepted])
    }

    /// Half an edit, or a request counted twice because its client sends it again, would be wrong data.
    @Test("a refusal, of the transform or from behind, leaves the batch and the counts as they were")
    func refusals() {
        let answered = Noted<[Outcome]>([])
        let waiting = Acknowledgement { outcome in answered.change { $0.append(outcome) } }
        let poisoned = batch(slice(["mark", "refuse"], waiting))
        #expect(processor.consume(poisoned)?.reason == .rejected)
        sink.refusal.value = Refusal(.queueFull, "full")
        #expect(processor.consume(batch(slice(["drop", "mark"])))?.reason == .queueFull)
        #expect(context.account.read().entered == 0)
        #expect(answered.value.isEmpty)
        poisoned.settle(.accepted)
        #expect(answered.value == [.accepted])
    }

    /// A transform that makes data larger must not lift the process over its limit.
    @Test("what came of an edit is refused when the memory limit has no room for it")
    func memory() {
        ledger.limit(by: NoRoom())
        #expect(processor.consume(batch(slice(["mark"])))?.reason == .memory)
        #expect(processor.consume(batch(slice(["a"]))) == nil)
    }

    /// Makes every span longer by 100 KB.
    private final class Growing: RequestTransform {
        func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
            let text = String(repeating: "x", count: 100_000)
            request.forEachItem { item in
                request.setContent(item.item, Field.Span.name, request.keep(text))
                return .keep
            }
        }
    }

    /// Asks for the fields of each item by position.
    private final class Indexing: RequestTransform {
        func apply(to request: RequestEditor, _ context: EditContext) {
            request.forEachItem { request.fieldCount($0.item) > 0 ? .keep : .remove }
        }
    }

    /// Finds an attribute, looks at another, and sets the first one.
    private final class Setting: RequestTransform {
        func apply(to request: RequestEditor, _ context: EditContext) {
            request.forEachItem { item in
                let table = request.attributes(item.item, Field.Span.attributes)
                guard let position = request.find(request.keep("a"), in: table) else { return .keep }
                _ = request.value(request.keep("b"), in: table)
                request.setValue(table, at: position, to: .bool(true))
                request.rename(table, at: position, to: request.keep("c"))
                request.removeAttribute(table, at: position)
                return .keep
            }
        }
    }

    /// Admits so many bytes in all.
    private final class Room: AdmissionControl {
        let ledger: MemoryLedger
        let limitBytes: Int
        let mostBytes = Noted<Int>(0)

        init(_ ledger: MemoryLedger, _ limitBytes: Int) {
            (self.ledger, self.limitBytes) = (ledger, limitBytes)
        }

        func admit(bytes: Int) -> Refusal? {
            mostBytes.change { $0 = max($0, ledger.bytes) }
            return ledger.bytes + bytes > limitBytes ? Refusal(.memory, "no room for \(bytes) bytes") : nil
        }
        var shouldPause: Bool { false }
    }

    /// A thousand spans that grow by 100 KB each need 200 MB; a limit that is asked afterwards only would be too late.
    @Test("a transform that makes data grow is refused while it works, and gives its memory back")
    func growing() {
        let room = Room(ledger, 4 << 20)
        ledger.limit(by: room)
        let processor = EditingProcessor(Growing(), context, next: PipelineInput(sink))
        let names = (0..<1000).map { "\($0)" }
        for _ in 0..<3 {
            #expect(processor.consume(batch(slice(names)))?.reason == .memory)
            #expect(ledger.bytes < 1 << 20)
        }
        #expect(room.mostBytes.value <= 4 << 20 && room.mostBytes.value > 3 << 20)
        // What is small enough passes, with the same editor.
        #expect(processor.consume(batch(slice(["a", "b"]))) == nil)
        #expect(bytes(sink.batches.value.first).count > 200_000)
        sink.batches.change { $0 = [] }
        #expect(context.account.read().entered == 2)
    }

    /// Two bytes of a request may be a field, whose entry takes 56: 1 MB of them is 28 MB of working memory.
    @Test("a message of very many fields is refused before there are entries of them")
    func manyFields() {
        let room = Room(ledger, 4 << 20)
        ledger.limit(by: room)
        var writer = ProtoWriter()
        writer.message(1) {
            $0.message(2) {
                $0.message(2) { span in
                    for key in ["a", "b"] { span.message(9) { $0.field(1, Array(key.utf8)) } }
                    for _ in 0..<500_000 { span.field(9, []) }
                }
            }
        }
        let request = Batch(.traces)
        request.append(
            Slice(Payload(ByteBuffer(bytes: writer.bytes)), offset: 0, count: writer.bytes.count, items: 1))
        for transform in [Indexing(), Setting()] as [any RequestTransform] {
            let processor = EditingProcessor(transform, context, next: PipelineInput(sink))
            #expect(processor.consume(request)?.reason == .memory)
        }
        #expect(ledger.bytes < 1 << 20)
    }

    /// Items that a filter would have removed must not reach a dead letter because a queue was full.
    @Test("what is given up is edited before it is handed on, and counted")
    func givenUp() {
        let refusal = Refusal(.queueFull, "full")
        processor.drop(batch(slice(["drop", "mark"])), because: refusal)
        #expect(bytes(sink.dropped.value.first) == request(["marked"]))
        processor.drop(batch(slice(["refuse"])), because: refusal)
        #expect(sink.dropped.value.count == 1)
        #expect(context.account.read().dropped[.invalid] == 1)
    }
}
