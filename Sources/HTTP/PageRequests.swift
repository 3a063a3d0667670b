package import NIOCore
package import NIOHTTP1

/// Why a request for a page is refused before anybody looks for the page. Its connection ends with the answer.
package struct PageRefusal: Error, Equatable {
    /// The status of the answer (RFC 9110 §15).
    package let status: Int
    /// The body of the answer.
    package let text: String

    private init(_ status: Int, _ reason: String) {
        self.status = status
        text = "\(status) \(reason)\n"
    }

    fileprivate init(_ error: HTTP1Error) { self.init(error.status, "\(error)") }

    fileprivate static var unknownExpectation: Self { Self(417, "expect is not understood") }

    /// The answer to bytes that are no request.
    package static var noRequest: Self { Self(400, "bad request") }
}

extension Channel {
    /// Ends this side of a page's connection, when its last answer is sent. Closed at once, it would be reset by what the
    /// client still sends or has sent, the answer unread; so it closes when the client does, or some seconds later.
    /// - Returns: the timer.
    package func endBehindLastPage() -> Scheduled<Void> {
        let closed = eventLoop.makePromise(of: Void.self)
        closed.futureResult.whenFailure { _ in self.close(promise: nil) }
        close(mode: .output, promise: closed)
        return eventLoop.scheduleTask(in: .seconds(5)) { self.close(promise: nil) }
    }
}

/// Whether the decoder says that what has come is no request; it says so again of what comes behind that.
package func isNoRequest(_ error: any Error) -> Bool {
    if case .dataReceivedInErrorState? = error as? ByteToMessageDecoderError { return true }
    return error is HTTPParserError
}

/// What NIO's decoder leaves to servers of pages (RFC 9112 §3.2, §6.1; RFC 9110 §10.1.1).
extension HTTPRequestHead {
    /// Looks at the fields that say whom a request is for and how it goes on.
    package func checkForPages() throws(PageRefusal) {
        let isOld = version.minor == 0
        let hosts = headers["host"]
        if hosts.count > 1 { throw PageRefusal(.severalHosts) }
        if hosts.isEmpty, !isOld { throw PageRefusal(.noHost) }
        if let host = hosts.first, !host.utf8.allSatisfy(isHostByte) {
            throw PageRefusal(.badHost(String(host.prefix(64))))
        }
        let codings = headers[canonicalForm: "transfer-encoding"]
        if !codings.isEmpty, isOld || codings.count > 1 || codings[0].lowercased() != "chunked" {
            throw PageRefusal(.unknownTransferCoding(String(codings.joined(separator: ", ").prefix(64))))
        }
        if !expectations.allSatisfy({ $0 == "100-continue" }) { throw .unknownExpectation }
    }

    /// Whether the client waits for an answer or an interim one before it sends the body.
    package var awaitsContinue: Bool {
        !expectations.isEmpty
            && (headers.contains(name: "transfer-encoding")
                || headers.first(name: "content-length").map { $0 != "0" } ?? false)
    }

    /// In small letters. Those of HTTP/1.0 are no such.
    private var expectations: [String] {
        version.minor == 0 ? [] : headers[canonicalForm: "expect"].map { $0.lowercased() }
    }

    /// Path and query of the target; of an absolute one, "http://host/path", what comes behind the host: every host is ours.
    package var pageTarget: (path: String, query: String) {
        var target = uri[...]
        for scheme in ["http://", "https://"]
        where target.first != "/" && target.prefix(scheme.count).lowercased() == scheme {
            let behind = target.dropFirst(scheme.count)
            target = behind[(behind.firstIndex { $0 == "/" || $0 == "?" } ?? behind.endIndex)...]
            if target.first != "/" { target = "/" + target }
            break
        }
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }
}
