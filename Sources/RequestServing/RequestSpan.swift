internal import HTTP
internal import OTLP
internal import Pipeline

/// The span about one request, from its head to what the pipelines said: `receiver/otlp/TraceDataReceived`. Event loop only.
final class RequestSpan {
    private let tracer: Tracer
    private let open: Tracer.Open
    private let target: Target

    /// nil when this request is not among those that are kept, or is telemetry of this gateway itself. No initializer that
    /// fails: that would make an object for each request first.
    static func begin(_ tracer: Tracer, _ target: Target, _ head: HeaderBlock) -> RequestSpan? {
        let open = tracer.begin(
            "receiver/\(target.counters.receiver)/\(verbs[target.signal] ?? "")", .server,
            parent: head["traceparent"])
        guard let open, head[Tracer.instanceHeader] != tracer.instance else { return nil }
        return RequestSpan(tracer, open, target)
    }

    private init(_ tracer: Tracer, _ open: Tracer.Open, _ target: Target) {
        self.tracer = tracer
        self.open = open
        self.target = target
    }

    /// - Parameter answer: nil when it comes later.
    func end(_ answer: Answer?, _ items: Int) {
        var error: String?
        var refused = 0
        switch answer {
        case .failed(let failure):
            error = failure.message
            refused = items
        case .partial(let rejected, _): refused = min(rejected, items)
        case .accepted, nil: break
        }
        let noun = target.signal.itemNoun
        tracer.end(
            open,
            [
                ("receiver", .text(target.counters.receiver)),
                ("transport", .text(target.counters.transport)),
                ("format", .text(target.mediaType == .json ? "json" : "protobuf")),
                ("accepted_\(noun)", .whole(Int64(items - refused))),
                ("refused_\(noun)", .whole(Int64(refused))),
            ], error: error)
    }

    private static let verbs: [Signal: String] = [
        .traces: "TraceDataReceived", .metrics: "MetricsReceived", .logs: "LogsReceived",
    ]
}
