internal import CNghttp2

/// Reads the body of a stream of `HTTP2Session.slots`.
func bodyProvider(_ stream: UnsafeMutableRawPointer) -> nghttp2_data_provider {
    unsafe nghttp2_data_provider(
        source: nghttp2_data_source(ptr: stream),
        read_callback: { _, _, _, limit, flags, source, userData in
            guard let userData = unsafe userData, let flags = unsafe flags,
                let pointer = unsafe source?.pointee.ptr
            else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
            // SAFETY: the source is the stream object that `slots` holds while the stream is open.
            let stream = unsafe Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
            return unsafe session(userData) { unsafe $0.nextBody(stream, limit, flags) }
        })
}

/// Calls a method of the session behind user data, without counting a reference for the call.
private func session<Result>(
    _ userData: UnsafeMutableRawPointer, _ body: (HTTP2Session) -> Result
) -> Result {
    // SAFETY: user data is the live session (see init); nghttp2 calls only from inside its methods.
    unsafe Unmanaged<HTTP2Session>.fromOpaque(userData)._withUnsafeGuaranteedRef { body($0) }
}

private let failed = NGHTTP2_ERR_CALLBACK_FAILURE.rawValue

/// Makes a session of nghttp2 that calls the methods of `HTTP2Session+Frames.swift`.
func makeSession(
    _ role: HTTP2Session.Role, _ userData: UnsafeMutableRawPointer, _ memory: SessionMemory?,
    _ raw: inout OpaquePointer?
) -> Int32 {
    var callbacks: OpaquePointer?
    var code = unsafe nghttp2_session_callbacks_new(&callbacks)
    guard code == 0 else { return code }
    defer { unsafe nghttp2_session_callbacks_del(callbacks) }
    var options: OpaquePointer?
    code = unsafe nghttp2_option_new(&options)
    guard code == 0 else { return code }
    defer { unsafe nghttp2_option_del(options) }
    // Else it keeps the closed streams of a connection, up to SETTINGS_MAX_CONCURRENT_STREAMS, for priorities.
    unsafe nghttp2_option_set_no_closed_streams(options, 1)
    // How many streams a client may cancel is a matter of `FrameBudget` and `WorkBudget`.
    if role == .server {
        unsafe nghttp2_option_set_stream_reset_rate_limit(options, UInt64(UInt32.max), UInt64(UInt32.max))
    }
    // HTTP2RequestCheck does what must be done.
    if role == .server { unsafe nghttp2_option_set_no_http_messaging(options, 1) }
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, userData in
        guard let userData = unsafe userData, let frame = unsafe frame else { return failed }
        return unsafe session(userData) { unsafe $0.headersBegan(frame.pointee.hd.stream_id) }
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
        _, _, name, nameCount, value, valueCount, _, userData in
        guard let userData = unsafe userData else { return failed }
        return unsafe session(userData) {
            unsafe $0.header(
                UnsafeRawBufferPointer(start: name, count: nameCount),
                UnsafeRawBufferPointer(start: value, count: valueCount))
        }
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, userData in
        guard let userData = unsafe userData, let frame = unsafe frame else { return failed }
        return unsafe session(userData) { unsafe $0.frameReceived(frame) }
    }
    unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, userData in
        guard let userData = unsafe userData, let frame = unsafe frame else { return failed }
        unsafe session(userData) { unsafe $0.frameSent(frame) }
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
        _, _, id, bytes, count, userData in
        guard let userData = unsafe userData else { return failed }
        unsafe session(userData) {
            unsafe $0.dataReceived(id, UnsafeRawBufferPointer(start: bytes, count: count))
        }
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, userData in
        guard let userData = unsafe userData else { return failed }
        unsafe session(userData) { $0.streamClosed(id, code) }
        return 0
    }
    unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) {
        _, _, header, count, source, userData in
        guard let userData = unsafe userData, let header = unsafe header,
            let pointer = unsafe source?.pointee.ptr
        else { return failed }
        // SAFETY: as in bodyProvider.
        let stream = unsafe Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
        unsafe session(userData) { unsafe $0.writeBody(stream, header, count) }
        return 0
    }
    switch role {
    case .client:
        unsafe nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks) {
            _, _, _, connectionWindow, streamWindow, maxFrame, _ in
            Int(min(connectionWindow, streamWindow, Int32(min(maxFrame, 1 << 20))))
        }
    case .server:
        // Answers are short. For a longer frame a session would take a room of its own, however short the frame is then.
        unsafe nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks) {
            _, _, _, connectionWindow, streamWindow, _, _ in
            Int(min(connectionWindow, streamWindow, 16_384))
        }
    }
    switch role {
    case .server:
        guard let memory else {
            return unsafe nghttp2_session_server_new2(&raw, callbacks, userData, options)
        }
        code = unsafe memory.make { memory in
            unsafe nghttp2_session_server_new3(&raw, callbacks, userData, options, memory)
        }
    case .client: code = unsafe nghttp2_session_client_new2(&raw, callbacks, userData, options)
    }
    return code
}
