internal import HTTP
internal import Logging
internal import OTLP
internal import Pipeline
internal import Synchronization

/// Asks an extension whether a request may come in (`auth`), by its head alone. Any thread.
final class Door: Sendable {
    private let authenticator: any ServerAuthenticator
    private let style: AnswerStyle
    private let refused: Counter
    private let logger: Logger
    private let hasTold = Atomic<Bool>(false)

    /// - Parameter style: how the receiver answers.
    init(
        _ authenticator: any ServerAuthenticator, _ context: ComponentContext, transport: String,
        style: AnswerStyle
    ) {
        self.authenticator = authenticator
        self.style = style
        logger = context.logger
        refused = context.registry.counter(
            "sluice_receiver_unauthenticated_requests",
            help: "Requests that did not come in, because auth does not take their credentials.",
            labels: ["receiver": context.name, "transport": transport])
    }

    /// The answer to a request that may not come in; nil: it may.
    func refusal(_ head: HeaderBlock) -> Answer.Failure? {
        do throws(AuthenticationRefusal) {
            try authenticator.admit { head.text(of: $0) }
            return nil
        } catch {
            refused.add(1)
            if !hasTold.exchange(true, ordering: .relaxed) {
                logger.warning(
                    "A request was turned away by auth. Further ones are only counted: sluice_receiver_unauthenticated_requests.",
                    metadata: ["error": "\(error.message)"])
            }
            var failure = Answer.Failure(.unauthenticated, 401, error.message)
            if let seconds = error.retryAfterSeconds {
                failure = Answer.Failure(.unavailable, 503, error.message, retryAfterSeconds: seconds)
            } else {
                failure.challenge = authenticator.challenge
            }
            failure.isTurnedAway = true
            failure.isPlainText = style == .plain
            failure.mediaType = Routes.mediaType(head) ?? .json
            return failure
        }
    }
}
