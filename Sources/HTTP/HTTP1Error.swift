/// Why bytes are no HTTP/1.1 request. The connection ends after the answer: nobody knows where the next request begins.
package enum HTTP1Error: Error, Equatable, CustomStringConvertible {
    case badRequestLine
    case badVersion
    case badField(name: String)
    case bareLineFeed
    case foldedField
    case noHost
    case severalHosts
    case badHost(String)
    case badContentLength(String)
    case severalLengths
    case unknownTransferCoding(String)
    case badChunk
    case headTooLarge(limit: Int)

    /// The status of the answer (RFC 9110 §15).
    package var status: Int {
        switch self {
        case .badVersion: 505
        case .unknownTransferCoding: 501
        case .headTooLarge: 431
        default: 400
        }
    }

    package var description: String {
        switch self {
        case .badRequestLine: "the request line is not \"METHOD TARGET HTTP/1.1\""
        case .badVersion: "the version is neither HTTP/1.1 nor HTTP/1.0"
        case .badField(let name):
            "the header has a line that is no field, or has forbidden bytes: \"\(name)\""
        case .bareLineFeed: "a line of the header ends in a line feed without a carriage return"
        case .foldedField: "a field goes on in the next line, which is obsolete"
        case .noHost: "the host field is missing"
        case .severalHosts: "there is more than one host field"
        case .badHost(let text): "the host field is no host with an optional port: \"\(text)\""
        case .badContentLength(let text): "content-length is not a number: \"\(text)\""
        case .severalLengths: "the length of the body is told more than once"
        case .unknownTransferCoding(let text): "transfer-encoding is not understood: \"\(text)\""
        case .badChunk: "the body is not well-formed in chunks"
        case .headTooLarge(let limit):
            "the header has more than \(limit) bytes, 32 counted for each field beside its own"
        }
    }
}
