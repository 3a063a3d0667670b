internal import NIOCore
internal import OTLP
internal import Pipeline

/// Counts the calls that a receiver answers, at `level: detailed`. Any thread.
final class ServedCalls: Sendable {
    private let metrics: CallMetrics
    private let isGRPC: Bool
    /// Tells how large answers are.
    private static let writer = AnswerWriter(responseHeaders: [])

    /// - Parameter path: of the requests that are counted.
    init(_ registry: MetricRegistry, isGRPC: Bool, path: String) {
        metrics = CallMetrics(registry, .server, isGRPC: isGRPC, path: path)
        self.isGRPC = isGRPC
    }

    /// Counts a request that is answered now.
    func ended(_ answer: Answer, _ form: AnswerForm, began: NIODeadline, bytes: Int) {
        let duration = NIODeadline.now() - began
        if isGRPC {
            var code = GRPCCode.ok
            if case .failed(let failure) = answer { code = failure.code }
            metrics.observe(
                status: Int(code.rawValue), duration: duration, requestBytes: bytes,
                responseBytes: Self.writer.grpc(answer).body?.readableBytes ?? 0)
        } else {
            let response = Self.writer.http(answer, form)
            metrics.observe(
                status: response.status, duration: duration, requestBytes: bytes,
                responseBytes: response.body.count)
        }
    }
}
