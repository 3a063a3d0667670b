internal import Compression
internal import HTTP
internal import NIOCore
internal import OTLP
internal import Pipeline

/// What an answer over HTTP means for the batch (OTLP specification, "OTLP/HTTP Response").
enum HTTPAnswer {
    /// More of a text that is no `Status` is not shown.
    private static let shownBytesMax = 300

    /// No answer is longer when it is decompressed.
    private static let inflatedBytesMax = 64 << 10

    static func result(_ response: HTTPClientResponse) -> SendResult {
        let response = inflated(response)
        guard !(200...299).contains(response.status) else { return sent(response) }
        let status = status(response)
        let text = status.flatMap { $0.message.isEmpty ? nil : $0.message } ?? text(response)
        let message = "HTTP status \(response.status)" + (text.isEmpty ? "" : ": " + text)
        let delay =
            response.headers.first("retry-after").flatMap(RetryAfter.delay)
            ?? status?.retryDelay.map { TimeAmount($0) }
        switch response.status {
        case 413: return .tooLarge(message)
        case 429 where SizeWords.areIn(text): return .tooLarge(message)
        case 429: return .throttled(message, after: delay)
        case 502, 503, 504: return .retryable(message, after: delay)
        case 400, 409, 422, 500:
            if isAboutTLS(text) { return .permanent(message + "; write https:// instead of http://") }
            if SizeWords.areIn(text) { return .tooLarge(message) }
            return .refused(message, code: GRPCCode(httpStatus: response.status))
        default:
            return .permanent(
                message + remedy(response), code: GRPCCode(httpStatus: response.status))
        }
    }

    /// The answer as the server wrote it, before something on the way compressed what nobody asked to be.
    private static func inflated(_ response: HTTPClientResponse) -> HTTPClientResponse {
        guard let encoding = response.headers.first("content-encoding")?.lowercased(),
            !response.bodyTruncated,
            encoding == "gzip" || encoding == "x-gzip", response.body.readableBytes > 0
        else { return response }
        var inflated = response
        inflated.body = ByteBuffer()
        do throws(InflateError) {
            _ = try Gunzipper().inflate(response.body.readableBytesSpan, limitBytes: inflatedBytesMax) {
                inflated.body.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1)
            }
        } catch {
            return response
        }
        return inflated
    }

    /// An answer that says that the batch was taken, if it is one: the page of a proxy is none, whatever its status.
    private static func sent(_ response: HTTPClientResponse) -> SendResult {
        let type = response.headers.first("content-type") ?? ""
        // Loki says 204, Prometheus 200 without a word.
        let isEmpty = response.body.readableBytes == 0
        if isEmpty, type.isEmpty || response.status == 204 || form(response) == .json {
            return .sent(rejectedItems: 0, message: "")
        }
        let answer: ExportResponse? = unsafe decode(response) { bytes, form in
            unsafe form == .json ? ExportResponse(decodingJSON: bytes) : ExportResponse(decoding: bytes)
        }
        // A refusal with a status of success is none.
        let isRefusal = status(response).map { $0.code != 0 } ?? false
        if let answer, !response.bodyTruncated, !isRefusal {
            return .sent(rejectedItems: Int(clamping: answer.rejected), message: answer.message)
        }
        // A warning of many kilobytes is nobody's, but says nothing against the data; if it is one.
        if response.bodyTruncated, beginsAsAnswer(response) { return .sent(rejectedItems: 0, message: "") }
        let kind = type.isEmpty ? "no content type" : "content type \(type.prefix(100))"
        let text = text(response)
        return .permanent(
            "HTTP status \(response.status) with \(kind) is no answer of OTLP\(text.isEmpty ? "" : ": \(text)"); "
                + "a web page or a proxy answers: check the host and the path of the endpoint", code: .unknown
        )
    }

    /// Lends the body to a reader of its form; nil when it is none that OTLP knows.
    private static func decode<Value>(
        _ response: HTTPClientResponse,
        _ read: (UnsafeRawBufferPointer, OTLPHTTPConfig.Encoding) -> Value?
    ) -> Value? {
        guard let form = form(response) else { return nil }
        // SAFETY: the bytes are read inside the call only.
        return unsafe response.body.withUnsafeReadableBytes { unsafe read($0, form) }
    }

    /// How the answer is written; nil for anything that OTLP does not know.
    private static func form(_ response: HTTPClientResponse) -> OTLPHTTPConfig.Encoding? {
        let type = response.headers.first("content-type") ?? ""
        let name = type.prefix { $0 != ";" && $0 != " " }.lowercased()
        switch name {
        case "application/json": return .json
        case "application/x-protobuf", "application/protobuf": return .proto
        default: return nil
        }
    }

    /// Whether the body begins as an `Export…Response` does: with `partial_success`, its field 1, or as an object.
    private static func beginsAsAnswer(_ response: HTTPClientResponse) -> Bool {
        let bytes = response.body.readableBytesView
        switch form(response) {
        case .proto: return bytes.first == 0x0A
        case .json: return bytes.first { $0 > 0x20 } == UInt8(ascii: "{")
        case nil: return false
        }
    }

    /// The `Status` in the body of a refusal, also where its content type does not say so.
    private static func status(_ response: HTTPClientResponse) -> RPCStatus? {
        guard response.body.readableBytes > 0 else { return nil }
        if let form = form(response) {
            return unsafe decode(response) { bytes, _ in
                unsafe form == .json ? RPCStatus(decodingJSON: bytes) : RPCStatus(decoding: bytes)
            }
        }
        // A text has no byte in front that begins a field of a status.
        guard let first = response.body.readableBytesView.first, [0x08, 0x12, 0x1A].contains(first) else {
            return nil
        }
        // SAFETY: the bytes are read inside the call only.
        return unsafe response.body.withUnsafeReadableBytes { unsafe RPCStatus(decoding: $0) }
    }

    /// The server's own words, where they are no `Status`.
    private static func text(_ response: HTTPClientResponse) -> String {
        guard form(response) != .proto || response.body.readableBytesView.allSatisfy({ $0 >= 0x09 }) else {
            return ""
        }
        let shown = response.body.readableBytesView.prefix(shownBytesMax).map {
            (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: " ")
        }
        return String(decoding: shown, as: UTF8.self).split(separator: " ").joined(separator: " ")
    }

    private static func isGRPC(_ response: HTTPClientResponse) -> Bool {
        response.headers.first("content-type")?.lowercased().hasPrefix("application/grpc") == true
    }

    /// What Go's servers, nginx and others say on their port for TLS.
    private static func isAboutTLS(_ text: String) -> Bool {
        text.contains("HTTP request to an HTTPS server")
            || text.contains("HTTP request was sent to HTTPS port")
    }

    private static func remedy(_ response: HTTPClientResponse) -> String {
        switch response.status {
        // What gRPC servers say to a request of another content type.
        case 415 where text(response).contains("gRPC") || isGRPC(response):
            "; a gRPC server answers: write otlp_grpc instead of otlp_http, or the server's port for HTTP (usually 4318)"
        case 401, 403: "; check the credentials under \"headers\" or \"auth\""
        case 404, 405: "; check the path of the endpoint"
        default: ""
        }
    }
}
