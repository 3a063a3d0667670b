import Configuration
import NIOCore
package import NIOEmbedded
import OTLP
package import Pipeline

/// A processor of metrics by itself: what goes in, what comes out.
package final class ProcessorRig {
    /// Takes what it is let take, as the requests that it was.
    package final class Sink: Consumer {
        package let requests = Noted<[[UInt8]]>([])
        /// What it says to everything; nil: it takes it.
        package let refusal = Noted<Refusal?>(nil)

        package func consume(_ batch: Batch) -> Refusal? {
            if let refusal = refusal.value { return refusal }
            batch.enter()
            requests.change { $0.append(batch.slices.flatMap { Array(buffer: $0.bytes) }) }
            return nil
        }

        package func drop(_ batch: Batch, because refusal: Refusal) {}
    }

    package let sink = Sink()
    package let loop = EmbeddedEventLoop()
    package let context: ComponentContext
    package private(set) var processor: (any PipelineComponent)!
    package var input: any Consumer { processor.input.consumer }

    package init(
        _ id: String, ledger: MemoryLedger = MemoryLedger(),
        _ make: (ComponentContext, PipelineInput) throws -> any PipelineComponent
    ) rethrows {
        context = .alone(.processor, id, signal: .metrics, on: loop, ledger: ledger)
        processor = try make(context, PipelineInput(sink))
    }

    /// Lets time pass on the loop; what is to be done is done.
    package func wait(seconds: Int64) { loop.advanceTime(by: .seconds(seconds)) }

    /// Sends a request through; the points that come out of it at once, as lines.
    @discardableResult
    package func send(_ request: [UInt8]) -> [String] {
        let items =
            request.withUnsafeBytes { try? summarize($0, as: .metrics).items } ?? 0
        let batch = Batch(.metrics, payload: Payload(ByteBuffer(bytes: request)), items: items)
        let before = sink.requests.value.count
        guard input.consume(batch) == nil else { return ["refused"] }
        return sink.requests.value[before...].flatMap(MetricText.lines)
    }
}
