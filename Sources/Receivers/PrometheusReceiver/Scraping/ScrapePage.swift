internal import Compression
internal import HTTP
internal import NIOCore
internal import OTLP

/// Why a scrape gave nothing.
enum ScrapeFailure: Error, CustomStringConvertible {
    case request(String)
    case status(Int)
    case tooLarge(limit: Int)
    case compression(String)
    case page(PageError)
    case targetLimit(Int, limit: Int)

    var description: String {
        switch self {
        case .request(let text): text
        case .status(let status): "server returned HTTP status \(status)"
        case .tooLarge(let limit): "the page has more than body_size_limit \(limit) bytes"
        case .compression(let text): "the page cannot be decompressed: \(text)"
        case .page(let error): "\(error)"
        case .targetLimit(let count, let limit):
            "the job has \(count) targets, more than target_limit \(limit)"
        }
    }
}

/// A page as it came, and how far it is read. Confined to its `ScrapeLoop`.
struct ScrapePage {
    /// Bytes that are read without letting others have the loop: some hundred microseconds' worth.
    static let portionBytes = 128 << 10

    private enum Reader {
        case text(TextParser)
        case protobuf(ProtobufParser)
    }

    let bytes: ByteBuffer
    private var reader: Reader

    /// Takes an answer: checks its status and size, and decompresses its page.
    /// - Parameter limit: bytes that the page may have, decompressed.
    init(
        _ response: HTTPClientResponse, job: ScrapeConfig, gunzipper: Gunzipper, limit: Int
    ) throws(ScrapeFailure) {
        guard response.status == 200 else { throw .status(response.status) }
        guard !response.bodyTruncated else { throw .tooLarge(limit: limit) }
        switch response.headers.first("content-encoding")?.lowercased() {
        case nil, "", "identity":
            guard response.body.readableBytes <= limit else { throw .tooLarge(limit: limit) }
            bytes = response.body
        case "gzip": bytes = try Self.inflated(response.body, limit, gunzipper)
        case let other?: throw .compression("content-encoding \"\(other)\" was not asked for")
        }
        let format = Self.format(of: response.headers.first("content-type") ?? "") ?? job.fallbackProtocol
        switch format {
        case .protobuf:
            reader = .protobuf(ProtobufParser(readsClassicBesidesNative: job.readsClassicHistograms))
        case .openMetrics001, .openMetrics100: reader = .text(TextParser(.openMetrics))
        case .text004, .text100: reader = .text(TextParser(.text))
        }
    }

    /// Reads the next portion.
    /// - Returns: whether it was the last one.
    mutating func read(into table: SeriesTable) throws(PageError) -> Bool {
        switch reader {
        case .text(var parser):
            defer { reader = .text(parser) }
            return try parser.parse(bytes.readableBytesUInt8Span, bytesMax: Self.portionBytes, into: table)
        case .protobuf(var parser):
            defer { reader = .protobuf(parser) }
            return try unsafe bytes.withUnsafeReadableBytes { (page) throws(PageError) in
                // SAFETY: the buffer lends its bytes for the call.
                try parser.parse(unsafe WireBytes(page), bytesMax: Self.portionBytes, into: table)
            }
        }
    }

    /// The format that a `Content-Type` names; nil when it names none that is known.
    static func format(of contentType: String) -> ScrapeProtocol? {
        let parts = contentType.lowercased().split(separator: ";").map { part in
            String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
        switch parts.first {
        case "text/plain": return .text004
        case "application/openmetrics-text": return .openMetrics100
        case "application/vnd.google.protobuf":
            return parts.contains("encoding=delimited") ? .protobuf : nil
        default: return nil
        }
    }

    private static func inflated(
        _ body: ByteBuffer, _ limit: Int, _ gunzipper: Gunzipper
    ) throws(ScrapeFailure) -> ByteBuffer {
        var page = ByteBuffer()
        var result = Result<Void, InflateError>.success(())
        unsafe body.withUnsafeReadableBytes { bytes in
            do throws(InflateError) {
                // SAFETY: the buffer lends its bytes for the call.
                _ = try gunzipper.inflate(
                    unsafe RawSpan(_unsafeBytes: bytes), limitBytes: limit,
                    appending: { minimum, fill in
                        page.writeWithOutputRawSpan(minimumWritableBytes: minimum, initializingWith: fill)
                    })
            } catch {
                result = .failure(error)
            }
        }
        switch result {
        case .success: return page
        case .failure(.tooLarge): throw .tooLarge(limit: limit)
        case .failure(let error): throw .compression("\(error)")
        }
    }
}
