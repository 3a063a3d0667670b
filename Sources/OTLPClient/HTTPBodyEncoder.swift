internal import NIOCore
internal import OTLP
internal import Pipeline

/// Makes the bodies of requests over HTTP with as little work as the configuration allows. Any thread.
final class HTTPBodyEncoder: Sendable {
    /// How a batch is to be sent.
    enum Plan {
        /// As it is.
        case plain([ByteBuffer])
        /// As gzip members that are there already.
        case gzip([ByteBuffer])
        /// By `encode`.
        case encode
    }

    private let writesJSON: Bool
    private let compressor: BodyCompressor?

    init(_ config: OTLPHTTPConfig) {
        writesJSON = config.encoding == .json
        compressor = config.bodyCompression.map { BodyCompressor($0) }
    }

    /// Whether what `encode` makes is compressed.
    var compresses: Bool { compressor != nil }

    /// What to do with a batch. Cheap: copies nothing.
    func plan(_ batch: Batch) -> Plan {
        if writesJSON { return .encode }
        switch compressor?.plan(batch) ?? .plain {
        case .plain: return .plain(batch.slices.map { $0.bytes })
        case .members(let members, _): return .gzip(members)
        case .compress: return .encode
        }
    }

    /// The body, which is compressed if `compresses`. Takes milliseconds.
    func encode(_ batch: Batch) -> [ByteBuffer] {
        guard writesJSON else { return compressor?.compress(batch) ?? batch.slices.map { $0.bytes } }
        var writer = OTLPJSONWriter(capacity: 2 * batch.bytes + 64)
        batch.write(to: &writer)
        return writer.text.withBytes { text in
            guard let compressor else { return [unsafe ByteBuffer(bytes: text.unsafeBytes)] }
            return [compressor.compress(text)]
        }
    }
}
