internal import OTLP

/// How a body of OTLP/HTTP is encoded. Answers come as their requests did (OTLP specification, "OTLP/HTTP Response").
enum MediaType: String, Sendable {
    case protobuf = "application/x-protobuf"
    case json = "application/json"
}

/// What an answer of OTLP/HTTP takes over from its request.
struct AnswerForm: Sendable {
    var mediaType = MediaType.protobuf
    /// Names the counts of a partial success in JSON.
    var signal = Signal.traces
    var style = AnswerStyle.otlp
}

/// How a receiver answers over HTTP.
package enum AnswerStyle: Sendable, Equatable {
    /// OTLP/HTTP: messages in the encoding of the request.
    case otlp
    /// Nothing but a status, 202, when all is well, and text when not; 500 for what may pass.
    case plain
}
