package import NIOCore

/// A request of an `HTTPClient`. A value; any thread.
package struct HTTPClientRequest: Sendable {
    /// `GET`, `POST` and so on, in capitals.
    package var method: String
    /// Path and query, as in `HTTPURL.target`.
    package var target: String
    /// Fields in order. `Host`, `Content-Length` and what HTTP/2 forbids are the client's own business.
    package var headers: [(name: String, value: String)]
    /// Sent one behind the other without being put together first.
    package var body: [ByteBuffer]
    /// Whether an answer of 301, 302, 303, 307 or 308 is an answer like any other, which the caller may follow; else
    /// it is an error. The client itself never follows.
    package var acceptsRedirects = false

    package init(
        method: String, target: String, headers: [(name: String, value: String)] = [], body: [ByteBuffer] = []
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }

    /// Bytes of the body.
    package var bodyBytes: Int { body.reduce(0) { $0 + $1.readableBytes } }

    /// What keeps this from being sent as it is; nil when nothing does. A line feed in a value would be another header.
    var problem: String? {
        guard !method.isEmpty, method.utf8.allSatisfy(isTokenByte) else {
            return "\"\(method)\" is not a valid method"
        }
        guard target.hasPrefix("/") || target == "*", target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f })
        else {
            return "the target must start with a slash and hold no space or control character"
        }
        for (name, value) in headers {
            guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
                return "\"\(name)\" is not a valid header name"
            }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                return "the value of header \(name) holds a line feed or control character"
            }
        }
        return nil
    }
}

private func isTokenByte(_ byte: UInt8) -> Bool {
    isLetter(byte) || isDigit(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
}

/// The fields of an answer, in order.
package struct HTTPClientHeaders: Sendable {
    /// Names as they came; HTTP/2's are lower case.
    package let fields: [(name: String, value: String)]

    package init(_ fields: [(name: String, value: String)] = []) {
        self.fields = fields
    }

    /// The value of the first field of that name, in whatever case; nil when there is none.
    package func first(_ name: String) -> String? {
        fields.first { $0.name.utf8.elementsEqual(name.utf8, by: sameLetter) }?.value
    }
}

private func sameLetter(_ a: UInt8, _ b: UInt8) -> Bool {
    a == b || isLetter(a) && a ^ b == 0x20
}

/// The beginning of an answer.
package struct HTTPClientResponseHead: Sendable {
    /// 200…599; interim answers (1xx) are not shown.
    package var status: Int
    package var headers: HTTPClientHeaders

    package init(status: Int, headers: HTTPClientHeaders) {
        self.status = status
        self.headers = headers
    }
}

/// A whole answer.
package struct HTTPClientResponse: Sendable {
    /// 200…599.
    package var status: Int
    package var headers: HTTPClientHeaders
    /// At most `responseBytesMax` bytes.
    package var body: ByteBuffer
    /// Whether there was more. The rest was not read, and the connection given up.
    package var bodyTruncated: Bool

    package init(status: Int, headers: HTTPClientHeaders, body: ByteBuffer, bodyTruncated: Bool) {
        self.status = status
        self.headers = headers
        self.body = body
        self.bodyTruncated = bodyTruncated
    }
}

/// Why there is no whole answer.
package enum HTTPClientError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No connection could be made: address, route, port.
    case connect(origin: HTTPOrigin, reason: String)
    /// TLS was not agreed upon, or broke.
    case tls(origin: HTTPOrigin, reason: String)
    /// The deadline has passed. `while` says what was being done.
    case timeout(origin: HTTPOrigin, while: String)
    /// The connection ended. `beforeAnswer` means that not one byte of an answer had come.
    case closed(origin: HTTPOrigin, beforeAnswer: Bool, reason: String)
    /// What came is not HTTP, or more than the client reads.
    case malformed(origin: HTTPOrigin, reason: String)
    /// The answer sends to another place.
    case redirected(origin: HTTPOrigin, status: Int, location: String)
    /// The request cannot be sent.
    case badRequest(String)
    /// The caller cancelled, or closed the client.
    case cancelled

    /// Whether the same request may succeed later (OTLP specification, "All Other Responses").
    package var isRetryable: Bool {
        switch self {
        case .connect, .tls, .timeout, .closed, .malformed, .cancelled: true
        case .redirected, .badRequest: false
        }
    }

    package var description: String {
        switch self {
        case .connect(let origin, let reason): "connection to \(origin) failed: \(reason)"
        case .tls(let origin, let reason): "TLS with \(origin) failed: \(reason)"
        case .timeout(let origin, let what): "no answer from \(origin) within the timeout, \(what)"
        case .closed(let origin, true, let reason):
            "\(origin) closed the connection without an answer: \(reason)"
        case .closed(let origin, false, let reason):
            "\(origin) closed the connection within its answer: \(reason)"
        case .malformed(let origin, let reason): "the answer of \(origin) cannot be read: \(reason)"
        case .redirected(let origin, let status, let location):
            "\(origin) answered \(status) and sends to \"\(location)\"; redirects are not followed: "
                + "write that address as the endpoint if it is right"
        case .badRequest(let problem): "the request cannot be sent: \(problem)"
        case .cancelled: "the request was cancelled"
        }
    }
}
