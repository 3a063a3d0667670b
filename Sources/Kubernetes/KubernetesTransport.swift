internal import Configuration
internal import Glibc
package import HTTP
package import Logging
package import NIOCore
internal import NIOPosix

/// How an API server is asked: with whatever credentials it wants. Event loop only.
package protocol KubernetesTransport: AnyObject {
    /// Sends a `GET`.
    func get(
        _ url: HTTPURL, headers: [(name: String, value: String)], deadline: NIODeadline
    ) -> EventLoopFuture<HTTPClientResponse>
    /// Sends a `GET` whose answer never ends.
    func stream(
        _ url: HTTPURL, headers: [(name: String, value: String)], deadline: NIODeadline,
        bodyDeadline: NIODeadline, onHead: @escaping (HTTPClientResponseHead) -> Void,
        onBytes: @escaping (ByteBuffer) -> Bool, onCall: @escaping (HTTPClientCall) -> Void
    ) -> EventLoopFuture<Void>
    /// Ends everything.
    func close()
}

/// The API server of the cluster that the process runs in, with the pod's own credentials.
package struct KubernetesAccount: Sendable {
    private static let folder = "/var/run/secrets/kubernetes.io/serviceaccount/"

    package let origin: HTTPOrigin
    /// Read anew for every request; nil asks without one.
    package let tokenPath: String?
    /// Of the server's certificates.
    package let authorityPath: String?

    /// The namespace that the process runs in; nil when nothing says so. Reads a file.
    package var namespace: String? { Self.firstWord(Self.folder + "namespace") }

    package init(origin: HTTPOrigin, tokenPath: String? = nil, authorityPath: String? = nil) {
        self.origin = origin
        self.tokenPath = tokenPath
        self.authorityPath = authorityPath
    }

    /// - Parameter variable: the environment. Nil outside of a cluster.
    package init?(variable: (String) -> String?) {
        guard let host = variable("KUBERNETES_SERVICE_HOST"), !host.isEmpty,
            let port = variable("KUBERNETES_SERVICE_PORT").flatMap({ Int($0) })
        else { return nil }
        self.init(
            origin: HTTPOrigin(scheme: .https, host: host, port: port), tokenPath: Self.folder + "token",
            authorityPath: Self.folder + "ca.crt")
    }

    private static let fileBytesMax = 1 << 16

    /// A file up to the first blank; nil when it cannot be read. Blocks.
    fileprivate static func firstWord(_ path: String) -> String? {
        // SAFETY: the path is a C string for the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { Glibc.close(file) }
        var bytes = [UInt8](repeating: 0, count: fileBytesMax)
        // SAFETY: the kernel writes at most the count.
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        guard count > 0 else { return nil }
        return String(decoding: bytes[..<count].prefix { $0 > 0x20 }, as: UTF8.self)
    }
}

/// Asks with the token of a service account. Event loop only.
package final class AccountTransport: KubernetesTransport {
    private static let pageBytesMax = 64 << 20

    private let account: KubernetesAccount
    private let eventLoop: any EventLoop
    private let client: HTTPClient

    /// - Throws: the authority cannot be read.
    package init(_ account: KubernetesAccount, eventLoop: any EventLoop, logger: Logger)
        throws(KubernetesProblem)
    {
        self.account = account
        self.eventLoop = eventLoop
        var options = HTTPClient.Options()
        options.connectionsMax = 2
        options.responseBytesMax = Self.pageBytesMax
        if account.origin.scheme == .https {
            var tls = ClientTLSConfig()
            tls.shared.ca = account.authorityPath.map { .file($0) }
            do throws(TLSProblem) {
                options.tls = try ClientTLS(
                    tls, protocols: HTTPClient.Options.protocols(http2: false), logger: logger)
            } catch {
                throw KubernetesProblem("\(error)")
            }
        }
        client = HTTPClient(origin: account.origin, options: options, eventLoop: eventLoop, logger: logger)
    }

    package func get(
        _ url: HTTPURL, headers: [(name: String, value: String)], deadline: NIODeadline
    ) -> EventLoopFuture<HTTPClientResponse> {
        let bound = NIOLoopBound(client, eventLoop: eventLoop)
        return authorization().flatMap { own in
            bound.value.send(
                HTTPClientRequest(method: "GET", target: url.target, headers: headers + own),
                deadline: deadline)
        }
    }

    package func stream(
        _ url: HTTPURL, headers: [(name: String, value: String)], deadline: NIODeadline,
        bodyDeadline: NIODeadline, onHead: @escaping (HTTPClientResponseHead) -> Void,
        onBytes: @escaping (ByteBuffer) -> Bool, onCall: @escaping (HTTPClientCall) -> Void
    ) -> EventLoopFuture<Void> {
        let bound = NIOLoopBound((client, onHead, onBytes, onCall), eventLoop: eventLoop)
        return authorization().flatMap { own in
            let (client, onHead, onBytes, onCall) = bound.value
            let call = client.stream(
                HTTPClientRequest(method: "GET", target: url.target, headers: headers + own),
                deadline: deadline,
                bodyDeadline: bodyDeadline, onHead: onHead, onBytes: onBytes)
            onCall(call)
            return call.result
        }
    }

    package func close() { _ = client.close() }

    private func authorization() -> EventLoopFuture<[(name: String, value: String)]> {
        guard let path = account.tokenPath else { return eventLoop.makeSucceededFuture([]) }
        return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            guard let text = KubernetesAccount.firstWord(path) else {
                throw KubernetesProblem("the token in \(path) cannot be read")
            }
            return [(name: "Authorization", value: "Bearer \(text)")]
        }
    }
}
