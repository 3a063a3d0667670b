import Configuration
import Foundation
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

/// Random byte edits of valid requests, through every processor that changes data. Whatever passes the receiver's check may
/// come from anybody, and must neither bring the gateway down nor come out as something that is no request.
///
/// `FUZZ_EDITS` in the environment says how many edits each processor gets, `FUZZ_PROCESSOR` which one alone; `Tests/fuzz/processors`
/// runs it under the address sanitizer.
@Suite("processors with edited bytes")
struct EditedBytesTests {
    private static let edits = Int(ProcessInfo.processInfo.environment["FUZZ_EDITS"] ?? "") ?? 150

    private static let tried = ProcessorCase.all.filter {
        ProcessInfo.processInfo.environment["FUZZ_PROCESSOR"] ?? $0.type.name == $0.type.name
    }

    /// Takes everything, and looks at whether it is a request.
    private final class Checker: Consumer {
        let taken = Noted<Int>(0)
        let invalid = Noted<[String]>([])

        func consume(_ batch: Batch) -> Refusal? {
            batch.enter()
            for slice in batch.slices {
                do {
                    _ = try slice.bytes.withUnsafeReadableBytes { try summarize($0, as: batch.signal) }
                } catch {
                    invalid.change { $0.append("\(batch.signal.name): \(error)") }
                }
            }
            taken.change { $0 += 1 }
            batch.settle(.accepted)
            return nil
        }

        func drop(_ batch: Batch, because refusal: Refusal) { batch.settle(.refused(refusal)) }
    }

    /// A valid request in which some bytes are others, are missing or came in between.
    private static func edited(_ signal: Signal, _ random: inout SeededRandom) -> [UInt8] {
        var bytes = RandomRequest.make(signal, seed: random.next())
        for _ in 0...random.below(3) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            switch random.below(6) {
            case 0: bytes.remove(at: place)
            case 1: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
            case 2: bytes[place] ^= 1 << UInt8(random.below(8))
            case 3:
                let end = min(bytes.count, place + random.below(40))
                bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count))
            default: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            }
        }
        return bytes
    }

    @Test("a request that passes the check goes through", arguments: tried)
    func edits(_ tried: ProcessorCase) async throws {
        for signal in Signal.allCases where tried.type.signals.contains(signal) {
            let sink = Checker()
            let processor = try tried.make(signal, before: PipelineInput(sink))
            try await processor.start()
            let input = processor.input.consumer
            var random = SeededRandom(seed: UInt64(signal.rawValue) + 1)
            var valid = 0
            for _ in 0..<Self.edits {
                let bytes = Self.edited(signal, &random)
                guard let items = try? bytes.withUnsafeBytes({ try summarize($0, as: signal).items }) else {
                    continue
                }
                valid += 1
                let batch = Batch(signal, payload: Payload(ByteBuffer(bytes: bytes)), items: items)
                if let refusal = input.consume(batch) { batch.settle(.refused(refusal)) }
            }
            _ = await processor.stop(until: .now() + .seconds(5))
            #expect(sink.invalid.value == [])
            #expect(valid > Self.edits / 20, "too few edits leave a valid request")
        }
    }

    /// The list above would not know of a processor that is added.
    @Test("every processor that holds or changes data is tried")
    func complete() {
        let tried = Set(ProcessorCase.all.map(\.type.name))
        #expect(tried.count == ProcessorCase.all.count && tried.count == 22)
    }
}
