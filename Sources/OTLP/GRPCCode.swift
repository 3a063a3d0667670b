/// A gRPC status code.
package enum GRPCCode: Int32, CaseIterable, Sendable {
    case ok = 0
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16
}

extension GRPCCode {
    /// The name in log lines, as in the gRPC documentation: `RESOURCE_EXHAUSTED`.
    package var name: String {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }

    /// Whether OTLP lets a client send the same request again. RESOURCE_EXHAUSTED only with a `RetryInfo`.
    package func isRetryable(hasRetryInfo: Bool) -> Bool {
        switch self {
        case .cancelled, .deadlineExceeded, .aborted, .outOfRange, .unavailable, .dataLoss: true
        case .resourceExhausted: hasRetryInfo
        case .ok, .unknown, .invalidArgument, .notFound, .alreadyExists, .permissionDenied,
            .failedPrecondition, .unimplemented, .internal, .unauthenticated:
            false
        }
    }

    /// The status with which the HTTP receiver answers what the gRPC receiver answers with this code.
    package var httpStatus: Int {
        switch self {
        case .ok: 200
        case .cancelled, .deadlineExceeded, .aborted, .outOfRange, .unavailable, .dataLoss: 503
        case .resourceExhausted: 429
        case .invalidArgument: 400
        case .unauthenticated: 401
        case .permissionDenied: 403
        case .unimplemented: 404
        case .alreadyExists: 409
        case .unknown, .notFound, .failedPrecondition, .internal: 500
        }
    }

    /// The code that says what an HTTP status says.
    package init(httpStatus: Int) {
        switch httpStatus {
        case 200..<300: self = .ok
        case 400: self = .invalidArgument
        case 401: self = .unauthenticated
        case 403: self = .permissionDenied
        case 404: self = .unimplemented
        case 429: self = .resourceExhausted
        case 502, 503, 504: self = .unavailable
        default: self = .unknown
        }
    }

    /// What an HTTP status means to a gRPC client when no `grpc-status` came with it (gRPC,
    /// `http-grpc-status-mapping.md`). Never `ok`: no server of gRPC has answered.
    package init(ofHTTPStatusAlone status: Int) {
        switch status {
        case 400: self = .internal
        case 401: self = .unauthenticated
        case 403: self = .permissionDenied
        case 404: self = .unimplemented
        case 429, 502, 503, 504: self = .unavailable
        default: self = .unknown
        }
    }

    /// Whether OTLP lets a client send the same request again after this HTTP status.
    package static func isRetryable(httpStatus: Int) -> Bool {
        switch httpStatus {
        case 429, 502, 503, 504: true
        default: false
        }
    }
}
