internal import Configuration
internal import Glibc
internal import HTTP
package import Logging
package import NIOCore
internal import NIOPosix
internal import OTLP

/// How detectors look at the world: environment, files, servers. Tests give them another one. Any thread.
package struct Probe: Sendable {
    let eventLoop: any EventLoop
    let logger: Logger
    /// A variable of the environment; nil when it is not set or empty.
    var variable: @Sendable (String) -> String?
    /// Stands before the paths of files, for tests.
    var root = ""
    /// Where Azure's metadata are; no variable of the environment says otherwise.
    var azureEndpoint = "http://169.254.169.254"
    /// Until when all of it must be done.
    var deadline = NIODeadline.distantFuture

    /// The real one.
    package init(eventLoop: any EventLoop, logger: Logger) {
        self.eventLoop = eventLoop
        self.logger = logger
        variable = { name in
            // SAFETY: nobody changes the environment after the start; the text is copied.
            unsafe getenv(name).map { unsafe String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
    }

    /// The same, with so much time.
    func within(_ time: Duration) -> Probe {
        var probe = self
        probe.deadline = .now() + TimeAmount(time)
        return probe
    }

    // MARK: - Files

    private static let fileBytesMax = 1 << 20

    /// A file's text; nil when it cannot be read.
    func file(_ path: String) async throws -> String? {
        let path = root + path
        return try await NIOThreadPool.singleton.runIfActive { Self.read(path) }
    }

    private static func read(_ path: String) -> String? {
        // SAFETY: the path is a C string for the call.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count < fileBytesMax {
            // SAFETY: the kernel writes at most the chunk's count.
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.read(file, $0.baseAddress, $0.count)
            }
            if count <= 0 { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: - Servers

    /// The body of an answer of 200.
    func get(
        _ url: String, method: String = "GET", headers: [(name: String, value: String)] = [],
        tls: ClientTLSConfig? = nil
    ) async throws -> [UInt8] {
        let address: HTTPURL
        do throws(HTTPURLProblem) { address = try HTTPURL(url) } catch {
            throw DetectionError("\"\(url)\" \(error)")
        }
        var options = HTTPClient.Options()
        options.responseBytesMax = Self.fileBytesMax
        options.connectTimeout = .seconds(2)
        if address.origin.scheme == .https {
            do throws(TLSProblem) {
                options.tls = try ClientTLS(
                    tls ?? ClientTLSConfig(), protocols: HTTPClient.Options.protocols(http2: false),
                    logger: logger)
            } catch {
                throw DetectionError("\(address.origin): \(error)")
            }
        }
        let settings = options
        let request = HTTPClientRequest(method: method, target: address.target, headers: headers)
        let response = try await eventLoop.flatSubmit { [eventLoop, logger, deadline] in
            let client = HTTPClient(
                origin: address.origin, options: settings, eventLoop: eventLoop, logger: logger)
            return client.send(request, deadline: deadline).flatMapErrorThrowing { error in
                throw DetectionError("\(error)")
            }.always { _ in _ = client.close() }
        }.get()
        guard response.status == 200 else {
            throw DetectionError("\(url): HTTP status \(response.status)")
        }
        return Array(buffer: response.body)
    }

    /// An answer of JSON.
    func json(
        _ url: String, headers: [(name: String, value: String)] = [], tls: ClientTLSConfig? = nil
    ) async throws -> JSONTree {
        try Self.json(try await get(url, headers: headers, tls: tls), from: url)
    }

    static func json(_ text: [UInt8], from source: String) throws -> JSONTree {
        do throws(JSONError) { return try JSONTree(text) } catch {
            throw DetectionError("\(source): \(error)")
        }
    }

    /// An answer of text.
    func text(
        _ url: String, method: String = "GET", headers: [(name: String, value: String)] = []
    ) async throws -> String {
        String(decoding: try await get(url, method: method, headers: headers), as: UTF8.self)
    }
}
