internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import NIOPosix

/// Sends a job's or a discovery's requests: credentials, headers, redirects. Event loop only.
final class ScrapeClient {
    /// Redirects that are followed one after the other.
    private static let redirectsMax = 5

    private let config: ScrapeClientConfig
    private let tls: ClientTLS?
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let responseBytesMax: Int
    private var client: HTTPClient
    /// For redirects to another origin; kept as long as they lead there.
    private var elsewhere: HTTPClient?

    /// - Parameter tls: for `https` origins.
    init(
        origin: HTTPOrigin, config: ScrapeClientConfig, tls: ClientTLS?, responseBytesMax: Int,
        eventLoop: any EventLoop, logger: Logger
    ) {
        self.config = config
        self.tls = tls
        self.eventLoop = eventLoop
        self.logger = logger
        self.responseBytesMax = responseBytesMax
        client = Self.client(origin, config, tls, responseBytesMax, eventLoop, logger)
    }

    private static func client(
        _ origin: HTTPOrigin, _ config: ScrapeClientConfig, _ tls: ClientTLS?, _ bytesMax: Int,
        _ eventLoop: any EventLoop, _ logger: Logger
    ) -> HTTPClient {
        var options = HTTPClient.Options()
        options.tls = tls
        options.http2 = origin.scheme == .https && config.usesHTTP2
        options.connectionsMax = 2
        options.responseBytesMax = bytesMax
        return HTTPClient(origin: origin, options: options, eventLoop: eventLoop, logger: logger)
    }

    /// Sends a `GET`, with credentials, and follows redirects if that is wanted.
    func get(
        _ url: HTTPURL, headers: [(name: String, value: String)], deadline: NIODeadline
    ) -> EventLoopFuture<HTTPClientResponse> {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        return self.headers(for: url).flatMap { own in
            bound.value.send(url, headers + own, deadline, redirects: 0)
        }
    }

    /// Sends a `GET` whose answer never ends.
    func stream(
        _ url: HTTPURL, headers: [(name: String, value: String)], deadline: NIODeadline,
        bodyDeadline: NIODeadline, onHead: @escaping (HTTPClientResponseHead) -> Void,
        onBytes: @escaping (ByteBuffer) -> Bool, onCall: @escaping (HTTPClientCall) -> Void
    ) -> EventLoopFuture<Void> {
        let bound = NIOLoopBound((self, onHead, onBytes, onCall), eventLoop: eventLoop)
        return self.headers(for: url).flatMap { own in
            let (client, onHead, onBytes, onCall) = bound.value
            let request = HTTPClientRequest(method: "GET", target: url.target, headers: headers + own)
            let call = client.client.stream(
                request, deadline: deadline, bodyDeadline: bodyDeadline, onHead: onHead, onBytes: onBytes)
            onCall(call)
            return call.result
        }
    }

    /// Ends everything.
    func close() {
        _ = client.close()
        _ = elsewhere?.close()
    }

    private func send(
        _ url: HTTPURL, _ headers: [(name: String, value: String)], _ deadline: NIODeadline, redirects: Int
    ) -> EventLoopFuture<HTTPClientResponse> {
        var request = HTTPClientRequest(method: "GET", target: url.target, headers: headers)
        request.acceptsRedirects = config.followsRedirects && redirects < Self.redirectsMax
        let isElsewhere = url.origin != client.origin
        if isElsewhere, elsewhere?.origin != url.origin {
            _ = elsewhere?.close()
            elsewhere = Self.client(url.origin, config, tls, responseBytesMax, eventLoop, logger)
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let target = isElsewhere ? elsewhere ?? client : client
        return target.send(request, deadline: deadline).flatMap { response in
            let own = bound.value
            guard [301, 302, 303, 307, 308].contains(response.status),
                let location = response.headers.first("location"),
                let next = url.resolving(location), next.origin.scheme == .http || own.tls != nil
            else { return own.eventLoop.makeSucceededFuture(response) }
            // Another host is not told what only the first one should know.
            let rest = next.origin == url.origin ? headers : headers.filter { own.isHarmless($0.name) }
            return own.send(next, rest, deadline, redirects: redirects + 1)
        }
    }

    private func isHarmless(_ header: String) -> Bool {
        header.lowercased() != "authorization" && !config.headers.contains { $0.name == header }
    }

    // MARK: - Credentials

    private func headers(for url: HTTPURL) -> EventLoopFuture<[(name: String, value: String)]> {
        let fixed = config.headers.map { (name: $0.name, value: $0.value.value) }
        switch config.authorization {
        case nil:
            let basic = url.basicAuthorization.map { [(name: "Authorization", value: $0)] } ?? []
            return eventLoop.makeSucceededFuture(fixed + basic)
        case .token(let type, let source):
            return text(source).map { fixed + [(name: "Authorization", value: "\(type) \($0)")] }
        case .basic(let user, let password):
            return text(user).and(text(password)).map { user, password in
                let value = "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
                return fixed + [(name: "Authorization", value: value)]
            }
        }
    }

    private func text(_ source: ScrapeClientConfig.Source) -> EventLoopFuture<String> {
        switch source {
        case .text(let secret): return eventLoop.makeSucceededFuture(secret.value)
        case .file(let path):
            return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
                guard let bytes = SmallFile.read(path, bytesMax: 1 << 16),
                    let text = String(validating: bytes, as: UTF8.self)
                else { throw CredentialProblem(path: path) }
                return String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
            }
        }
    }
}

/// A file of credentials that cannot be read.
struct CredentialProblem: Error, CustomStringConvertible {
    let path: String

    var description: String { "the credentials in \"\(path)\" cannot be read" }
}

/// RFC 4648 §4, padded.
enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                text.append(
                    index <= group.count
                        ? digits[Int(bits >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
