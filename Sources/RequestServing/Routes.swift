internal import Configuration
internal import HTTP
internal import OTLP
internal import Pipeline

/// Chooses what a POST is, by its path and the type of its body in small letters, among what is served; or says with which
/// status it is refused, and why. For receivers whose paths are no list.
package typealias RouteChoice =
    @Sendable (_ path: Substring, _ mediaType: String) -> Result<Int, RouteRefusal>

/// Why no route was chosen.
package struct RouteRefusal: Error, Sendable {
    package let status: Int
    package let message: String

    package init(_ status: Int, _ message: String) {
        self.status = status
        self.message = message
    }
}

/// Which requests one protocol of a receiver serves, and how their heads are judged. Immutable; any thread.
final class Routes: Sendable {
    private struct Route: Sendable {
        let path: [UInt8]
        let target: Target
        let jsonTarget: Target
    }

    let limits: RequestLimits
    private let routes: [Route]
    /// What `content-encoding` may say, in small letters; the empty one stands for none.
    private let encodings: Set<String>
    private let allowsPlain: Bool
    private let choice: RouteChoice?

    /// - Parameters:
    ///   - encodings: what `content-encoding` may say, of what is understood (`compression_algorithms`).
    ///   - targets: path and destination of every signal that a pipeline takes from this receiver.
    ///   - choice: chooses among them by itself; nil: by the paths, and OTLP/HTTP's media types.
    init(
        limits: RequestLimits, encodings: [String] = HTTPServerConfig.allCompressionAlgorithms,
        _ targets: [(path: String, target: Target)], choosing choice: RouteChoice? = nil
    ) {
        self.limits = limits
        self.choice = choice
        allowsPlain = encodings.contains("")
        self.encodings = Set(
            encodings + (allowsPlain ? ["identity"] : []) + (encodings.contains("deflate") ? ["zlib"] : [])
                + (encodings.contains("gzip") ? ["x-gzip"] : []))
        routes = targets.map {
            Route(path: Array($0.path.utf8), target: $0.target, jsonTarget: $0.target.forJSON)
        }
    }

    /// Stands for a route in `ConnectionAccount.routes`: its signal.
    static func bit(_ target: Target) -> UInt64 { 1 << UInt64(target.signal.rawValue) }

    /// Whether somebody behind one of the routes of a connection, such as a memory limiter or a `batch` that is behind, wants bytes
    /// left in its socket. Before its first request: behind all that there are, for it may be no business of its.
    func shouldPause(_ account: ConnectionAccount) -> Bool { shouldPause(account.routes) }

    /// The same of `ConnectionAccount.routes`.
    func shouldPause(_ used: UInt64) -> Bool {
        guard used != 0 else { return !routes.isEmpty && routes.allSatisfy { $0.target.input.shouldPause } }
        return routes.contains { used & Self.bit($0.target) != 0 && $0.target.input.shouldPause }
    }

    /// Judges a request's head: where its body goes, or why nowhere.
    func judge(_ head: HeaderBlock) -> Result<(Target, ContentEncoding, contentLength: Int?), Answer.Failure>
    {
        limits.isGRPC ? judgeGRPC(head) : judgeHTTP(head)
    }

    private func route(for head: HeaderBlock) -> Route? {
        for route in routes where head.field(":path", equals: route.path) { return route }
        return nil
    }

    /// The same without the query of the path, which means nothing here.
    private func routeIgnoringQuery(_ head: HeaderBlock) -> Route? {
        guard let path = head[":path"]?.utf8, let query = path.firstIndex(of: UInt8(ascii: "?")) else {
            return nil
        }
        return routes.first { $0.path.elementsEqual(path[..<query]) }
    }

    /// The answer to a path with empty or dotted steps, `//v1/traces`: ask again without them. As the Collector's
    /// server does, whether or not anything is there.
    private static func redirect(_ head: HeaderBlock) -> Answer.Failure? {
        guard let target = head[":path"], target.hasPrefix("/") else { return nil }
        let path = target.prefix { $0 != "?" }
        var steps: [Substring] = []
        for step in path.split(separator: "/") {
            switch step {
            case ".": break
            case "..": _ = steps.popLast()
            default: steps.append(step)
            }
        }
        // A slash at the end stays, and is another path.
        let clean = "/" + steps.joined(separator: "/") + (path.hasSuffix("/") && !steps.isEmpty ? "/" : "")
        guard clean != path else { return nil }
        var failure = Answer.Failure.plain(301, "")
        failure.location = clean + target.dropFirst(path.count)
        return failure
    }

    /// A client's text as a message shows it: no longer than a line.
    private static func shown(_ text: String?) -> String {
        guard let text, text.utf8.count > 128 else { return text ?? "" }
        return String(decoding: text.utf8.prefix(128), as: UTF8.self) + "..."
    }

    /// Whether a content-type is gRPC's: "application/grpc", or that with a suffix such as "+proto".
    static func isGRPC(_ head: HeaderBlock) -> Bool {
        if head.field("content-type", is: "application/grpc") == true { return true }
        guard head.field("content-type", hasPrefix: "application/grpc") == true else { return false }
        let suffix = head["content-type"]?.utf8.dropFirst("application/grpc".utf8.count).first
        return suffix == UInt8(ascii: "+") || suffix == UInt8(ascii: ";")
    }

    /// The gRPC over HTTP/2 protocol, "Requests".
    private func judgeGRPC(
        _ head: HeaderBlock
    ) -> Result<(Target, ContentEncoding, contentLength: Int?), Answer.Failure> {
        guard Self.isGRPC(head) else {
            let type = Self.shown(head["content-type"])
            return .failure(.plain(415, "invalid gRPC request content-type \"\(type)\""))
        }
        guard head.field(":method", is: "POST") == true else {
            return .failure(.plain(405, "405 method not allowed, supported: [POST]"))
        }
        guard let target = route(for: head)?.target else {
            let path = Self.shown(head[":path"])
            return .failure(
                .init(
                    .unimplemented, 404,
                    "unknown service or method \(path): no pipeline takes this signal from this receiver"))
        }
        if head.field("grpc-encoding", is: "gzip") == true { return .success((target, .gzip, nil)) }
        guard let name = head["grpc-encoding"] else { return .success((target, .identity, nil)) }
        if let encoding = ContentEncoding(grpc: name) { return .success((target, encoding, nil)) }
        var failure = Answer.Failure(
            .unimplemented, 415,
            "grpc: Decompressor is not installed for grpc-encoding \"\(Self.shown(name))\"")
        failure.namesEncodings = true
        return .failure(failure)
    }

    /// Requests over HTTP; the answers are the Collector's.
    private func judgeHTTP(
        _ head: HeaderBlock
    ) -> Result<(Target, ContentEncoding, contentLength: Int?), Answer.Failure> {
        let target: Target
        switch choice.map({ chosen($0, head) }) ?? standard(head) {
        case .failure(let failure): return .failure(failure)
        case .success(let found): target = found
        }
        func failure(
            _ message: String
        ) -> Result<(Target, ContentEncoding, contentLength: Int?), Answer.Failure> {
            var failure = Answer.Failure(.invalidArgument, 400, message)
            failure.mediaType = target.mediaType
            failure.isPlainText = target.style != .otlp
            return .failure(failure)
        }
        var length: Int?
        if let text = head["content-length"] {
            guard let value = Int(text), value >= 0 else {
                return failure("content-length is not a number: \"\(Self.shown(text))\"")
            }
            length = value
        }
        let name = head["content-encoding"]
        if name == nil, allowsPlain { return .success((target, .identity, length)) }
        let lowercased = (name ?? "").lowercased()
        guard encodings.contains(lowercased), let encoding = ContentEncoding(http: lowercased) else {
            return failure("unsupported Content-Encoding: \(Self.shown(name))")
        }
        return .success((target, encoding, length))
    }

    private static let notPost = Answer.Failure.plain(405, "405 method not allowed, supported: [POST]")

    /// Where OTLP/HTTP goes.
    private func standard(_ head: HeaderBlock) -> Result<Target, Answer.Failure> {
        guard let route = route(for: head) ?? routeIgnoringQuery(head) else {
            return .failure(Self.redirect(head) ?? .plain(404, "404 page not found"))
        }
        guard head.field(":method", is: "POST") == true else { return .failure(Self.notPost) }
        guard let mediaType = Self.mediaType(head) else {
            return .failure(
                .plain(
                    415,
                    "415 unsupported media type, supported: [application/json, application/x-protobuf]"))
        }
        return .success(mediaType == .json ? route.jsonTarget : route.target)
    }

    private func chosen(_ choice: RouteChoice, _ head: HeaderBlock) -> Result<Target, Answer.Failure> {
        guard head.field(":method", is: "POST") == true else { return .failure(Self.notPost) }
        let path = (head[":path"] ?? "").prefix { $0 != "?" }
        switch choice(path, Self.typeName(head)) {
        case .success(let index): return .success(routes[index].target)
        case .failure(let refusal): return .failure(.plain(refusal.status, refusal.message))
        }
    }

    /// A parameter, such as a charset, may follow; letters of either case are the same (RFC 9110 §8.3.1).
    static func mediaType(_ head: HeaderBlock) -> MediaType? {
        if head.field("content-type", is: "application/x-protobuf") == true { return .protobuf }
        return MediaType(rawValue: typeName(head))
    }

    private static func typeName(_ head: HeaderBlock) -> String {
        String((head["content-type"] ?? "").lowercased().prefix { $0 != ";" && $0 != " " })
    }
}
