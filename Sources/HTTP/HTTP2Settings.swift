internal import CNghttp2

/// What a session announces about itself (RFC 9113 §6.5.2), and what it bears.
package struct HTTP2Settings: Sendable {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    package var maxConcurrentStreams: UInt32 = 10_000
    /// SETTINGS_INITIAL_WINDOW_SIZE, bytes. Does not throttle a request of a few megabytes.
    package var streamWindowBytes: Int32 = 8 << 20
    /// The connection's window, bytes.
    package var connectionWindowBytes: Int32 = 64 << 20
    /// SETTINGS_MAX_FRAME_SIZE, bytes.
    package var maxFrameBytes: UInt32 = 1 << 20
    /// Header sections larger than this reset their stream, bytes.
    package var maxHeaderBytes = 16 << 10

    /// The defaults.
    package init() {}
}

extension HTTP2Session {
    /// Queues SETTINGS, and the connection's window.
    func announce() throws(HTTP2SessionError) {
        guard let raw = unsafe raw else { return }
        var entries = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                value: UInt32(settings.streamWindowBytes)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_FRAME_SIZE.rawValue), value: settings.maxFrameBytes),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(settings.maxHeaderBytes)),
        ]
        switch role {
        case .server:
            entries.append(
                nghttp2_settings_entry(
                    settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                    value: settings.maxConcurrentStreams))
        case .client:
            entries.append(
                nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0))
        }
        let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        var code = unsafe nghttp2_submit_settings(raw, none, &entries, entries.count)
        if code == 0 {
            code = unsafe nghttp2_session_set_local_window_size(raw, none, 0, settings.connectionWindowBytes)
        }
        if code != 0 { throw HTTP2SessionError(Int(code)) }
    }
}
