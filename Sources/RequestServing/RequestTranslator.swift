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

/// How many parts (events, links, …) a span may have for the bytes of its body. Each takes some 150 bytes while it is translated, which
/// `growth` covers when it is no smaller than this on average.
package struct PartsLimit: Sendable {
    private static let bytesOfPart = 6
    /// Of small bodies.
    private static let least = 256
    private let bodyBytes: Int

    /// - Parameter bodyBytes: of the body as it is translated.
    package init(bodyBytes: Int) { self.bodyBytes = bodyBytes }

    /// - Throws: there are too many.
    package func check(_ count: Int) throws(TranslationError) {
        guard count > max(Self.least, bodyBytes / Self.bytesOfPart) else { return }
        throw .malformed(
            "a span of \(count) events and links in a body of \(bodyBytes) bytes, which cannot be \(Self.bytesOfPart) bytes each"
        )
    }
}
