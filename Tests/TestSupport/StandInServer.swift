package import NIOCore
import NIOHTTP1
import NIOPosix

/// A server of HTTP/1.1 on a port of the kernel's choice that stands in for somebody else's. Any thread.
package final class StandInServer: Sendable {
    /// A request as it came.
    package struct Request: Sendable {
        package let method: String
        /// Path and query.
        package let target: String
        package let headers: [String: String]
    }

    /// What a request is answered with; a nil body keeps the connection open without an end.
    package struct Answer: Sendable {
        package var status = 200
        package var body = ""
        /// Whether the answer goes on: the connection stays open until the server closes.
        package var isEndless = false

        package init(_ body: String, status: Int = 200, isEndless: Bool = false) {
            self.body = body
            self.status = status
            self.isEndless = isEndless
        }
    }

    private let channel: any Channel
    private let log: Noted<[Request]>

    package init(
        on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        _ answer: @escaping @Sendable (Request) -> Answer
    ) async throws {
        let log = Noted<[Request]>([])
        self.log = log
        channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        Handler { request in
                            log.change { $0.append(request) }
                            return answer(request)
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    package var port: Int { channel.localAddress?.port ?? 0 }
    /// `http://127.0.0.1:PORT`.
    package var url: String { "http://127.0.0.1:\(port)" }
    /// What came, in order.
    package var requests: [Request] { log.value }

    package func close() async throws { try await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let answer: @Sendable (Request) -> Answer
        private var head: HTTPRequestHead?

        init(_ answer: @escaping @Sendable (Request) -> Answer) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body: break
            case .end:
                guard let head else { return }
                let headers = Dictionary(
                    head.headers.map { ($0.name.lowercased(), $0.value) },
                    uniquingKeysWith: { first, _ in first })
                respond(
                    answer(Request(method: head.method.rawValue, target: head.uri, headers: headers)), context
                )
            }
        }

        private func respond(_ answer: Answer, _ context: ChannelHandlerContext) {
            var headers = HTTPHeaders()
            if !answer.isEndless { headers.add(name: "Content-Length", value: "\(answer.body.utf8.count)") }
            let head = HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
            if answer.isEndless {
                context.flush()
            } else {
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
