internal import HTTP
internal import Logging
internal import NIOCore
internal import NIOPosix
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

    /// Looks at a request's credentials.
    /// - Returns: how they are looked at beside the loop; nil: the request may come in.
    /// - Throws: the answer to a request that may not.
    func check(_ head: HeaderBlock) throws(Answer.Failure) -> CredentialCheck? {
        let mediaType = Routes.mediaType(head) ?? .json
        do throws(AuthenticationRefusal) {
            return try authenticator.admit { head.text(of: $0) }.map {
                CredentialCheck(self, mediaType, $0)
            }
        } catch {
            throw failure(error, mediaType)
        }
    }

    /// The answer to a request that may not come in, counted.
    fileprivate func failure(_ refusal: AuthenticationRefusal, _ mediaType: MediaType) -> Answer.Failure {
        refused.add(1)
        if !hasTold.exchange(true, ordering: .relaxed) {
            logger.warning(
                "A request was turned away by auth. Further ones are only counted: sluice_receiver_unauthenticated_requests.",
                metadata: ["error": "\(refusal.message)"])
        }
        var failure = Answer.Failure(.unauthenticated, 401, refusal.message)
        if let seconds = refusal.retryAfterSeconds {
            failure = Answer.Failure(.unavailable, 503, refusal.message, retryAfterSeconds: seconds)
        } else {
            failure.challenge = authenticator.challenge
        }
        failure.isTurnedAway = true
        failure.isPlainText = style == .plain
        failure.mediaType = mediaType
        return failure
    }
}

/// A look at one request's credentials that would hold its event loop for too long.
final class CredentialCheck: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `refusal` is the thread's that runs `check`, and the loop's after that; `failure` is the
    // loop's.
    /// One thread for all: who does not know a password takes half of one processor's time at most, and none from large requests.
    /// It begins with the first look and lives as long as the process.
    private static let thread: NIOThreadPool = {
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        return thread
    }()

    private let door: Door
    private let mediaType: MediaType
    private let check: LongCheck
    private let isWanted = Atomic(true)
    private var refusal: AuthenticationRefusal?
    /// The answer if the credentials are right, where it is known already: strangers do not learn it.
    var failure: Answer.Failure?

    fileprivate init(_ door: Door, _ mediaType: MediaType, _ check: @escaping LongCheck) {
        self.door = door
        self.mediaType = mediaType
        self.check = check
    }

    /// Looks at them beside the loop; until then nothing else that the connection has sent is worked on. How long that takes
    /// is the operator's choice, not the connection's fault. Event loop only, once.
    /// - Parameter done: called on the loop with the answer to a request that may not come in; nil: it may.
    func run(_ account: ConnectionAccount, _ tools: LoopTools, done: @escaping (Answer.Failure?) -> Void) {
        tools.besideRequests += 1
        account.wait(for: look, on: Self.thread, tools.eventLoop) { [self] in
            tools.besideRequests -= 1
            done(refusal.map { door.failure($0, mediaType) } ?? failure)
        }
    }

    private func look() {
        guard isWanted.load(ordering: .relaxed) else { return }
        do throws(AuthenticationRefusal) { try check() } catch { refusal = error }
    }

    /// Nobody waits for it any more: it is not begun. Any thread.
    func giveUp() { isWanted.store(false, ordering: .relaxed) }

    /// Instead of `run`, where one of the connection's is under way.
    func putOff() -> Answer.Failure {
        door.failure(
            AuthenticationRefusal(
                "other credentials of the connection are being looked at", retryAfterSeconds: 1),
            mediaType)
    }
}
