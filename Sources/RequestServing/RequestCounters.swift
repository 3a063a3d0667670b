internal import Logging
internal import OTLP
internal import Pipeline

/// What a receiver counts for one signal and transport, under the Collector's names.
final class RequestCounters: Sendable {
    /// Items handed to the pipelines.
    let accepted: Counter
    /// Items that the pipelines did not take; the client was told to come again.
    let refused: Counter
    /// Items that were read and then not handed on: the receiver itself had no memory for what it makes of them.
    let failed: Counter
    /// Requests turned away before their body was read, so that nobody knows how many items they held.
    let refusedRequests: Counter
    /// Requests whose body could not be decoded: badly framed, badly compressed, or not what its type says.
    let failedRequests: Counter
    /// Requests with a body above the limit of their protocol.
    let tooLargeRequests: Counter
    /// Texts that were not UTF-8.
    let repairs: TextRepairs
    /// The receiver's id and how requests come to it.
    let receiver: String
    let transport: String
    /// Counts how long requests took; nil unless that is wanted.
    let calls: ServedCalls?

    /// - Parameter logger: names services whose texts are not UTF-8.
    init(
        registry: MetricRegistry, source: NodeAccount, receiver: String, transport: String, signal: Signal,
        calls: ServedCalls? = nil, logger: Logger
    ) {
        self.calls = calls
        self.receiver = receiver
        self.transport = transport
        let labels: MetricLabels = ["receiver": receiver, "transport": transport]
        let items = signal.itemNoun
        accepted = source.counter(
            .passed, "otelcol_receiver_accepted_\(items)", help: "Items that the pipelines took.",
            labels: labels)
        refused = registry.counter(
            "otelcol_receiver_refused_\(items)", help: "Items that the pipelines did not take.",
            labels: labels)
        failed = registry.counter(
            "otelcol_receiver_failed_\(items)",
            help: "Items that were read and not handed on, for want of memory in the receiver itself.",
            labels: labels)
        let bySignal = labels.adding("signal", signal.name)
        repairs = TextRepairs(registry: registry, labels: bySignal, signal: signal, logger: logger)
        refusedRequests = registry.counter(
            "sluice_receiver_refused_requests",
            help: "Requests refused before their body was read, for want of memory.", labels: bySignal)
        failedRequests = registry.counter(
            "sluice_receiver_undecodable_requests", help: "Requests whose body could not be decoded.",
            labels: bySignal)
        tooLargeRequests = registry.counter(
            "sluice_receiver_too_large_requests",
            help: "Requests whose body is above max_recv_msg_size_mib or max_request_body_size.",
            labels: bySignal)
    }
}
