internal import Configuration
package import Logging
internal import NIOCore
internal import NIOPosix
package import OTLP
internal import Pipeline
import Synchronization

/// The processors of one pipeline without receivers and exporters: what comes out of them for one request. For trying a
/// configuration before it is live.
package struct PipelineTrial: Sendable {
    /// Why a trial is not possible.
    package struct Problem: Error, CustomStringConvertible {
        package let description: String

        package init(_ description: String) { self.description = description }
    }

    private let plan: GatewayPlan
    private let pipeline: GatewayConfig.Pipeline
    private let logger: Logger

    package var signal: Signal { pipeline.id.signal }

    /// - Parameter name: of a pipeline of the plan, such as `traces` or `traces/2`.
    /// - Throws: the plan has no such pipeline.
    package init(_ plan: GatewayPlan, pipeline name: String, logger: Logger) throws(Problem) {
        guard let pipeline = plan.pipelines.first(where: { "\($0.id)" == name }) else {
            let names = plan.pipelines.map { "\($0.id)" }.joined(separator: ", ")
            throw Problem("the configuration has no pipeline \"\(name)\"; it has \(names)")
        }
        (self.plan, self.pipeline, self.logger) = (plan, pipeline, logger)
    }

    /// A request from OTLP JSON: its protobuf bytes.
    /// - Throws: the text is no OTLP JSON of the signal.
    package static func request(json: [UInt8], _ signal: Signal) throws(Problem) -> [UInt8] {
        var request = [UInt8](repeating: 0, count: json.count * 4 + 64)
        do {
            let count = try unsafe request.withUnsafeMutableBytes { output in
                // SAFETY: both memories live through the call and do not overlap.
                try unsafe json.withUnsafeBytes { try unsafe readOTLPJSON($0, as: signal, into: output) }
            }
            request.removeLast(request.count - count)
            return try RequestRepair.mended(request, as: signal)
        } catch {
            throw Problem("this is no OTLP JSON of \(signal.name): \(error)")
        }
    }

    /// A request as OTLP JSON.
    package static func json(_ request: [UInt8], _ signal: Signal) -> [UInt8] {
        // SAFETY: borrowed for the call.
        unsafe request.withUnsafeBytes { unsafe otlpJSON($0, signal) }
    }

    /// Sends a request through all processors, stops them so that they give up what they hold, and joins what came out.
    /// - Throws: a processor cannot be made or started, or refuses the request.
    package func run(_ request: [UInt8]) async throws(Problem) -> [UInt8] {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let result: Result<[UInt8], Problem>
        do throws(Problem) {
            result = .success(try await run(request, on: group))
        } catch {
            result = .failure(error)
        }
        // Fails only when it was shut down before.
        try? await group.shutdownGracefully()
        return try result.get()
    }

    private func run(_ request: [UInt8], on group: MultiThreadedEventLoopGroup) async throws(Problem)
        -> [UInt8]
    {
        let context: GatewayContext
        do {
            context = GatewayContext(
                version: "", group: group, residentSize: try ResidentSize(), logger: logger)
        } catch {
            throw Problem("\(error)")
        }
        let end = Collected()
        var chain: [any PipelineComponent] = []
        var input = PipelineInput(end)
        let shared = SharedParts()
        for id in pipeline.processors.reversed() {
            let processor = try make(id, context, shared, before: input)
            chain.insert(processor, at: 0)
            input = processor.input
        }
        do {
            for part in shared.parts.values { try await part.start() }
            for processor in chain.reversed() { try await processor.start() }
        } catch {
            throw Problem("a processor cannot start: \(error)")
        }
        let items = Self.items(request, signal)
        let payload = Payload(ByteBuffer(bytes: request), ledger: context.ledger)
        let refusal = input.consumer.consume(Batch(signal, payload: payload, items: items))
        for processor in chain { _ = await processor.stop(until: .now() + .seconds(10)) }
        for part in shared.parts.values { _ = await part.stop(until: .now() + .seconds(1)) }
        if let refusal { throw Problem("the request was refused: \(refusal.message)") }
        return end.bytes
    }

    private func make(
        _ id: ComponentID, _ context: GatewayContext, _ shared: SharedParts, before next: PipelineInput
    ) throws(Problem) -> any PipelineComponent {
        guard case .processor(let make) = plan.part(.processor, id).setup.make else {
            preconditionFailure("processor \(id) describes itself as something else")
        }
        var neighbours = ComponentNeighbours()
        neighbours.shared = shared
        do {
            return try make(
                ComponentContext(
                    id: id, kind: .processor, signal: signal, pipeline: pipeline.id, gateway: context,
                    neighbours: neighbours), next)
        } catch {
            throw Problem("processors::\(id)::\(error)")
        }
    }

    private static func items(_ request: [UInt8], _ signal: Signal) -> Int {
        // SAFETY: borrowed for the call. The bytes were checked when they were read.
        (unsafe try? request.withUnsafeBytes { unsafe try summarize($0, as: signal).items }) ?? 0
    }
}

/// Keeps what comes to the end of the pipeline.
private final class Collected: Consumer {
    private let content = Mutex<[UInt8]>([])

    var bytes: [UInt8] { content.withLock { $0 } }

    func consume(_ batch: Batch) -> Refusal? {
        batch.enter()
        let slices = batch.slices.map { Array($0.bytes.readableBytesView) }
        content.withLock { content in
            for slice in slices { content += slice }
        }
        batch.settle(.accepted)
        return nil
    }

    func drop(_ batch: Batch, because refusal: Refusal) { batch.settle(.refused(refusal)) }
}
