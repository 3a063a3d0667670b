internal import NIOCore
internal import OTLP
internal import Pipeline

/// The limits that one protocol of a receiver sets.
struct RequestLimits: Sendable {
    /// Whether a body is gRPC's: messages behind five-byte prefixes.
    var isGRPC: Bool
    /// Bytes of a body as received, and again of the same when decompressed.
    var bodyBytesMax: Int
    /// Whether the header fields stay with the data (`include_metadata`).
    var keepsMetadata = false
}

/// What a receiver keeps for one event loop. Event loop only.
final class LoopTools {
    let eventLoop: any EventLoop
    let pool: BufferPool
    let decoders = Decoders()
    let ledger: MemoryLedger
    /// Makes spans about requests; nil: nobody wants any.
    let tracer: Tracer?
    /// Requests that are worked on beside the loop.
    var besideRequests = 0 {
        didSet { if besideRequests == 0 { whenNoneBeside?() } }
    }
    /// Called when there are no such requests any more. Set by the owner of the connections.
    var whenNoneBeside: (() -> Void)?
    /// When the read that is being worked on began: precise enough for whoever watches slow clients.
    var now: NIODeadline

    init(eventLoop: any EventLoop, ledger: MemoryLedger, tracer: Tracer? = nil) {
        self.eventLoop = eventLoop
        self.tracer = tracer
        now = eventLoop.now
        self.ledger = ledger
        pool = BufferPool(eventLoop: eventLoop)
    }
}

/// Where the requests of one signal go, and who counts them.
final class Target: Sendable {
    let signal: Signal
    let input: PipelineInput
    let counters: RequestCounters
    /// How bodies are encoded.
    let mediaType: MediaType
    /// Makes bodies into OTLP; nil: they are OTLP.
    let translator: (any RequestTranslator)?
    let style: AnswerStyle

    init(
        signal: Signal, input: PipelineInput, counters: RequestCounters, mediaType: MediaType = .protobuf,
        translator: (any RequestTranslator)? = nil, style: AnswerStyle = .otlp
    ) {
        self.translator = translator
        self.style = style
        self.signal = signal
        self.input = input
        self.counters = counters
        self.mediaType = mediaType
    }

    /// The same for bodies in JSON.
    var forJSON: Target {
        Target(signal: signal, input: input, counters: counters, mediaType: .json)
    }
}
