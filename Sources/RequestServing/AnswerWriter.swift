internal import HTTP
internal import NIOCore
internal import OTLP

/// Writes answers in the forms of gRPC and OTLP/HTTP. Immutable; any thread.
final class AnswerWriter: Sendable {
    /// A response as HTTP/2 sends it.
    struct Response {
        var head: HTTP2Fields
        var body: ByteBuffer?
        var trailers: HTTP2Fields?
    }

    /// The fields and the body of an OTLP/HTTP response.
    struct HTTPResponse {
        var status: Int
        var fields: [(name: String, value: String)]
        var body: [UInt8]

        /// An answer 204 must not say its length (RFC 9110 §8.6).
        var hasLength: Bool { status != 204 }
    }

    /// What an HTTP/1.1 answer says about its connection.
    enum ConnectionField: String {
        case none = ""
        case keepAlive = "connection: keep-alive\r\n"
        case close = "connection: close\r\n"
    }

    private let grpcAccepted: Response
    private let httpAccepted: Response
    private let http1Accepted: ByteBuffer
    private let extraFields: [(name: String, value: String)]

    /// - Parameter responseHeaders: `response_headers` of the HTTP server, added to every answer of OTLP/HTTP.
    init(responseHeaders: [(name: String, value: String)]) {
        extraFields = responseHeaders.map { ($0.name.lowercased(), $0.value) }
        grpcAccepted = Response(
            head: Self.grpcHead, body: Self.grpcMessage([]), trailers: HTTP2Fields([("grpc-status", "0")]))
        httpAccepted = Response(
            head: HTTP2Fields(
                [(":status", "200"), ("content-type", MediaType.protobuf.rawValue), ("content-length", "0")]
                    + extraFields))
        var accepted = ByteBuffer()
        Self.writeHTTP1(
            HTTPResponse(
                status: 200, fields: [("content-type", MediaType.protobuf.rawValue)] + extraFields, body: []),
            .none,
            to: &accepted)
        http1Accepted = accepted
    }

    private static let grpcHead = HTTP2Fields([(":status", "200"), ("content-type", "application/grpc")])

    private static func grpcMessage(_ message: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(5 + message.count)
        buffer.writeInteger(UInt8(0))
        buffer.writeInteger(UInt32(message.count))
        buffer.writeBytes(message)
        return buffer
    }

    /// The answer to a gRPC call.
    func grpc(_ answer: Answer) -> Response {
        switch answer {
        case .accepted:
            return grpcAccepted
        case .partial(let rejected, let message):
            let body = ExportResponse(rejected: Int64(rejected), message: message).encode()
            return Response(
                head: Self.grpcHead, body: Self.grpcMessage(body),
                trailers: HTTP2Fields([("grpc-status", "0")]))
        case .failed(let failure) where failure.isPlainText:
            return http2(plainText(failure))
        case .failed(let failure):
            // Trailers-Only: a head that ends the stream.
            var fields = [
                (":status", "200"), ("content-type", "application/grpc"),
                ("grpc-status", "\(failure.code.rawValue)"),
                ("grpc-message", HeaderText.percentEncode(failure.message)),
            ]
            if failure.namesEncodings { fields.append(("grpc-accept-encoding", ContentEncoding.grpcNames)) }
            if failure.retryAfterSeconds != nil {
                let details = HeaderText.base64(status(failure).encode())
                fields.append(("grpc-status-details-bin", details))
            }
            return Response(head: HTTP2Fields(fields))
        }
    }

    /// The answer to an OTLP/HTTP request over HTTP/2.
    /// - Parameter fields: what this answer says beside the others.
    func http2(
        _ answer: Answer, _ form: AnswerForm, adding fields: [(name: String, value: String)] = []
    ) -> Response {
        if case .accepted = answer, form.mediaType == .protobuf, form.style == .otlp, fields.isEmpty {
            return httpAccepted
        }
        return http2(http(answer, form), adding: fields)
    }

    /// The answer to an OTLP/HTTP request.
    func http(_ answer: Answer, _ form: AnswerForm) -> HTTPResponse {
        if form.style == .plain { return plain(answer) }
        switch answer {
        case .accepted:
            return http(ExportResponse(), form)
        case .partial(let rejected, let message):
            return http(ExportResponse(rejected: Int64(rejected), message: message), form)
        case .failed(let failure) where failure.isPlainText:
            return plainText(failure)
        case .failed(let failure):
            let mediaType = failure.mediaType ?? form.mediaType
            var fields = [("content-type", mediaType.rawValue)] + extraFields
            if let seconds = failure.retryAfterSeconds { fields.append(("retry-after", "\(seconds)")) }
            if let challenge = failure.challenge { fields.append(("www-authenticate", challenge)) }
            let status = status(failure)
            return HTTPResponse(
                status: failure.httpStatus, fields: fields,
                body: mediaType == .json ? status.encodeJSON() : status.encode())
        }
    }

    private func http(_ response: ExportResponse, _ form: AnswerForm) -> HTTPResponse {
        HTTPResponse(
            status: 200, fields: [("content-type", form.mediaType.rawValue)] + extraFields,
            body: form.mediaType == .json ? response.encodeJSON(form.signal) : response.encode())
    }

    /// Appends the answer to an OTLP/HTTP request as HTTP/1.1 sends it (RFC 9112 §4).
    /// - Parameters:
    ///   - fields: what this answer says beside the others.
    ///   - isHead: the request's method is HEAD, whose answers have no body (RFC 9110 §9.3.2).
    func writeHTTP1(
        _ answer: Answer, _ form: AnswerForm, _ connection: ConnectionField,
        adding fields: [(name: String, value: String)] = [], isHead: Bool = false, to buffer: inout ByteBuffer
    ) {
        if case .accepted = answer, form.mediaType == .protobuf, form.style == .otlp, connection == .none,
            fields.isEmpty
        {
            buffer.writeImmutableBuffer(http1Accepted)
        } else {
            var response = http(answer, form)
            response.fields += fields
            Self.writeHTTP1(response, connection, isHead: isHead, to: &buffer)
        }
    }

    private static func writeHTTP1(
        _ response: HTTPResponse, _ connection: ConnectionField, isHead: Bool = false,
        to buffer: inout ByteBuffer
    ) {
        buffer.writeString("HTTP/1.1 \(response.status) \(reason(response.status))\r\n")
        for field in response.fields { buffer.writeString("\(field.name): \(field.value)\r\n") }
        if response.hasLength { buffer.writeString("content-length: \(response.body.count)\r\n") }
        buffer.writeString("\(connection.rawValue)\r\n")
        if !isHead { buffer.writeBytes(response.body) }
    }

    /// The reason phrases of the statuses that are used here (RFC 9110 §15).
    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        // A phrase may be absent.
        default: ""
        }
    }

    private func plain(_ answer: Answer) -> HTTPResponse {
        guard case .failed(var failure) = answer else {
            return HTTPResponse(status: 202, fields: extraFields, body: [])
        }
        // What pipelines refuse for good is the request's fault, what may pass is ours. What the protocol's own checks say
        // (501, 505) stays.
        if [500, 503].contains(failure.httpStatus) {
            failure.httpStatus = failure.retryAfterSeconds == nil ? 400 : 500
        }
        return plainText(failure)
    }

    private func plainText(_ failure: Answer.Failure) -> HTTPResponse {
        var fields = (failure.httpStatus == 204 ? [] : [("content-type", "text/plain")]) + extraFields
        if failure.httpStatus == 405 { fields.append(("allow", "POST")) }
        if let seconds = failure.retryAfterSeconds { fields.append(("retry-after", "\(seconds)")) }
        if let challenge = failure.challenge { fields.append(("www-authenticate", challenge)) }
        if let location = failure.location { fields.append(("location", location)) }
        return HTTPResponse(status: failure.httpStatus, fields: fields, body: Array(failure.message.utf8))
    }

    private func http2(
        _ response: HTTPResponse, adding more: [(name: String, value: String)] = []
    ) -> Response {
        let length = response.hasLength ? [("content-length", "\(response.body.count)")] : []
        let fields = [(":status", "\(response.status)")] + response.fields + more + length
        return Response(
            head: HTTP2Fields(fields), body: response.body.isEmpty ? nil : ByteBuffer(bytes: response.body))
    }

    private func status(_ failure: Answer.Failure) -> RPCStatus {
        RPCStatus(
            failure.code, failure.message,
            retryDelay: failure.retryAfterSeconds.map { .seconds($0) })
    }
}
