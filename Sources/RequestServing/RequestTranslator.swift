package import NIOCore
package import OTLP

/// Why a body is not translated.
package enum TranslationError: Error, Sendable, Equatable {
    /// What is wrong with it, for its sender.
    case malformed(String)
    /// What it means is larger than requests may be.
    case tooLarge
}

/// Makes a request of OTLP of a body in another format. Any thread.
package protocol RequestTranslator: Sendable {
    /// How many times a body's bytes translating takes at most, what comes out included: so much is asked for and charged before.
    var growth: Int { get }

    /// - Parameters:
    ///   - body: lent for the call.
    ///   - limitBytes: of what comes out.
    func translate(_ body: WireBytes, limitBytes: Int) throws(TranslationError) -> ByteBuffer
}
