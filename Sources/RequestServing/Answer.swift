internal import OTLP
internal import Pipeline

/// How a request is answered, before it is written in a transport's form.
enum Answer: Sendable {
    /// Taken, all of it.
    case accepted
    /// Taken but for some items.
    case partial(rejectedItems: Int, message: String)
    /// Not taken. The HTTP status and the gRPC code say the same in two languages.
    case failed(Failure)

    /// A refusal or a client's error.
    struct Failure: Error, Sendable, Equatable {
        /// gRPC code; also the code of the HTTP body's `google.rpc.Status`.
        var code: GRPCCode
        /// HTTP status, for OTLP/HTTP, and for gRPC requests that are no gRPC at all.
        var httpStatus: Int
        /// What happened, the value, the limit, the key to change.
        var message: String
        /// Set when the client should come again.
        var retryAfterSeconds: Int?
        /// Whether auth has not let it in: nothing is known of the client, and nothing earned by it.
        var isTurnedAway = false
        /// Answered in `text/plain` by HTTP, since the client did not say which encoding it understands.
        var isPlainText = false
        /// What the client must show to come in (HTTP 401).
        var challenge: String?
        /// Where the client should ask instead (HTTP 301).
        var location: String?
        /// Whether the answer says which encodings are understood (gRPC).
        var namesEncodings = false
        /// Set when the head alone was judged; otherwise the request's reader knows it.
        var mediaType: MediaType?

        init(_ code: GRPCCode, _ httpStatus: Int, _ message: String, retryAfterSeconds: Int? = nil) {
            self.code = code
            self.httpStatus = httpStatus
            self.message = message
            self.retryAfterSeconds = retryAfterSeconds
        }

        static func plain(_ httpStatus: Int, _ message: String) -> Failure {
            var failure = Failure(.unimplemented, httpStatus, message)
            failure.isPlainText = true
            return failure
        }
    }

    /// Whether the request was taken, or refused for reasons that are ours and not its own.
    var isOurs: Bool {
        guard case .failed(let failure) = self else { return true }
        return failure.retryAfterSeconds != nil && !failure.isTurnedAway
    }

    /// Whether anything of the request was taken.
    var isTaken: Bool {
        if case .failed = self { false } else { true }
    }

    /// The client's view of what a pipeline said.
    init(_ outcome: Outcome) {
        switch outcome {
        case .accepted: self = .accepted
        case .partial(let rejectedItems, let message):
            self = .partial(rejectedItems: rejectedItems, message: message)
        case .refused(let refusal): self = .failed(Failure(refusal))
        }
    }
}

extension Answer.Failure {
    init(_ refusal: Refusal) {
        if refusal.isPermanent, refusal.reason == .tooLarge {
            self.init(.resourceExhausted, 413, refusal.message)
        } else if refusal.isPermanent {
            // The destination's own word, where it is known: clients fix their data by it.
            let code = refusal.code ?? .internal
            self.init(code, code.httpStatus, refusal.message)
        } else {
            self.init(.unavailable, 503, refusal.message, retryAfterSeconds: refusal.retryAfterSeconds ?? 1)
        }
    }

    static func undecodable(_ error: WireError, grpc: Bool) -> Self {
        switch error.reason {
        case .wrongIDLength, .longPackedList: return Self(.invalidArgument, 400, "\(error)")
        default:
            return grpc
                ? Self(.internal, 400, "grpc: error unmarshalling request: \(error)")
                : Self(.invalidArgument, 400, "\(error)")
        }
    }

    static func tooManyFields(limit: Int) -> Self {
        Self(
            .resourceExhausted, 431,
            "the header fields have more than \(limit) bytes, 32 counted for each beside its own")
    }

    static func undecodable(_ error: JSONError) -> Self { Self(.invalidArgument, 400, "\(error)") }

    static func corrupt(_ encoding: String, _ error: String, grpc: Bool) -> Self {
        grpc
            ? Self(.internal, 400, "grpc: failed to decompress the received message: \(encoding): \(error)")
            : Self(.invalidArgument, 400, "the body is not valid \(encoding): \(error)")
    }

    static func tooLarge(bytes: String, limits: RequestLimits, decompressed: Bool) -> Self {
        let limit = limits.bodyBytesMax
        guard limits.isGRPC else {
            return Self(
                .invalidArgument, 413,
                "http: request body too large: \(bytes) bytes\(decompressed ? " after decompression" : ""), limit \(limit)"
                    + " (max_request_body_size)")
        }
        return Self(
            .resourceExhausted, 413,
            "grpc: received message \(decompressed ? "after decompression " : "")larger than max (\(bytes) vs. \(limit));"
                + " limit max_recv_msg_size_mib")
    }
}
