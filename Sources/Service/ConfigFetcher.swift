internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import NIOPosix

extension ConfigEnvironment {
    /// The process's variables and files, and servers that are asked over HTTP.
    static let gateway = ConfigEnvironment(
        variable: ConfigEnvironment.process.variable, file: ConfigEnvironment.process.file,
        url: { url in
            do throws(ConfigFileError) {
                return .success(try ConfigFetcher.text(at: url))
            } catch {
                return .failure(error)
            }
        })
}

/// Fetches configurations: `--config https://…` and `${https://…}`. Blocks; on no event loop.
private enum ConfigFetcher {
    private static let redirectsMax = 5
    /// For the whole of one request.
    private static let timeout = TimeAmount.seconds(30)

    static func text(at text: String) throws(ConfigFileError) -> String {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer {
            // Fails only when it was shut down before.
            try? group.syncShutdownGracefully()
        }
        var url = try parsed(text)
        for _ in 0...redirectsMax {
            let answer = try get(url, on: group.next())
            switch answer.status {
            case 200:
                guard !answer.bodyTruncated else { throw .tooLarge(limit: largestConfigFile) }
                guard let text = String(validating: answer.body.readableBytesView, as: UTF8.self) else {
                    throw .notUTF8
                }
                return text
            case 301, 302, 303, 307, 308:
                guard let location = answer.headers.first("location") else {
                    throw .unreadable(reason: "the server answered \(answer.status) without a location")
                }
                url = try parsed(location.hasPrefix("/") ? "\(url.origin)\(location)" : location)
            default: throw .unreadable(reason: "the server answered \(answer.status)")
            }
        }
        throw .unreadable(reason: "the server answered with more than \(redirectsMax) redirects")
    }

    private static func parsed(_ text: String) throws(ConfigFileError) -> HTTPURL {
        do throws(HTTPURLProblem) {
            return try HTTPURL(text)
        } catch {
            throw .unreadable(reason: "the address \(error.withoutText)")
        }
    }

    private static func get(_ url: HTTPURL, on eventLoop: any EventLoop) throws(ConfigFileError)
        -> HTTPClientResponse
    {
        do {
            let logger = Logger(label: "sluice") { _ in SwiftLogNoOpLogHandler() }
            var options = HTTPClient.Options()
            options.responseBytesMax = largestConfigFile
            if url.origin.scheme == .https {
                options.tls = try ClientTLS(
                    ClientTLSConfig(), protocols: HTTPClient.Options.protocols(http2: false), logger: logger)
            }
            let client = HTTPClient(
                origin: url.origin, options: options, eventLoop: eventLoop, logger: logger)
            var fields = [(name: "accept", value: "application/yaml, */*")]
            if let authorization = url.basicAuthorization { fields.append(("authorization", authorization)) }
            var request = HTTPClientRequest(method: "GET", target: url.target, headers: fields)
            request.acceptsRedirects = true
            return try eventLoop.flatSubmit { [request] in
                client.send(request, deadline: .now() + timeout).flatMap { answer in
                    client.close().map { answer }
                }
            }.wait()
        } catch {
            throw .unreadable(reason: "\(error)")
        }
    }
}
