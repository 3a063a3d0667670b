internal import CNghttp2

/// What a session tells its owner. Called inside `receive` or `send`, on the event loop; must not call those two.
package protocol HTTP2SessionDelegate: AnyObject {
    /// A header section is complete: request or response head, or trailers. Read it from `stream.headers`.
    func headersEnded(_ stream: HTTP2Stream, isTrailers: Bool)
    /// Bytes of a body. Valid for this call only.
    func received(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream)
    /// The peer has ended its side of the stream.
    func ended(_ stream: HTTP2Stream)
    /// The stream is gone, well or by a reset; its slot will serve another one. `code` is an RFC 9113 §7 error code.
    func closed(_ stream: HTTP2Stream, code: UInt32)
    /// The peer wants no more streams (GOAWAY). Streams above `lastStream` were not processed.
    func goAway(lastStream: Int32, code: UInt32)
    /// The peer answered a PING.
    func pingAcknowledged()
    /// The peer sent a PING.
    func pingReceived()
    /// A RST_STREAM of ours has left, for whatever reason. For counting.
    func resetSent(_ reason: HTTP2ResetReason)
}

extension HTTP2SessionDelegate {
    package func resetSent(_ reason: HTTP2ResetReason) {}
}

/// Why we reset a stream.
package enum HTTP2ResetReason: Sendable, Equatable {
    /// The request is malformed.
    case malformed(HTTP2Malformed)
    /// Any other; an RFC 9113 §7 error code.
    case code(UInt32)

    /// In words, for a label.
    package var text: String {
        switch self {
        case .malformed(let fault): fault.rawValue
        case .code(let code): code < Self.names.count ? Self.names[Int(code)] : "unknown"
        }
    }

    private static let names = [
        "no_error", "protocol_error", "internal_error", "flow_control_error", "settings_timeout",
        "stream_closed",
        "frame_size_error", "refused_stream", "cancel", "compression_error", "connect_error",
        "enhance_your_calm",
        "inadequate_security", "http_1_1_required",
    ]
}

/// A fault that ends a connection.
package struct HTTP2SessionError: Error, CustomStringConvertible {
    /// nghttp2's code, negative.
    package let code: Int32
    /// nghttp2's words for it.
    package let description: String

    /// Whether a client began with something else than HTTP/2.
    var isWithoutPreface: Bool { code == NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue }

    init(_ code: Int) {
        self.code = Int32(truncatingIfNeeded: code)
        description = unsafe String(cString: nghttp2_strerror(Int32(truncatingIfNeeded: code)))
    }
}
