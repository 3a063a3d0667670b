internal import CNghttp2
package import NIOCore

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

/// A fault that ends a connection.
package struct HTTP2SessionError: Error, CustomStringConvertible {
    /// nghttp2's code, negative.
    package let code: Int32
    /// nghttp2's words for it.
    package let description: String

    init(_ code: Int) {
        self.code = Int32(truncatingIfNeeded: code)
        description = unsafe String(cString: nghttp2_strerror(Int32(truncatingIfNeeded: code)))
    }
}

/// One HTTP/2 connection, either side, without I/O: bytes in, delegate calls, bytes out.
///
/// Confined to its `HTTP2Handler`, which asserts its event loop: nghttp2 sessions are single-threaded. Inside a delegate
/// call `receive`, `send` and `close` trap: nghttp2 must not be entered again, nor freed, while it calls back
/// (`nghttp2_session_mem_recv`'s documentation). The delegate is kept; whoever keeps the session from the
/// delegate lets go of it when the connection ends.
@safe
package final class HTTP2Session {
    /// Which side of the connection this is.
    package enum Role: Sendable {
        case client
        case server
    }

    private var raw: OpaquePointer?  // nghttp2_session *, owned; nil after close()
    private let delegate: any HTTP2SessionDelegate
    private var isCalled = false
    /// Whether nghttp2 is reading or writing, so that whoever asks is inside one of its calls.
    package private(set) var isBusy: Bool {
        get { isCalled }
        set { isCalled = newValue }
    }
    private let role: Role
    private let settings: HTTP2Settings
    private var output = HTTP2Output()
    private var slots: [HTTP2Stream] = []
    private var freeSlots: [Int] = []
    /// Of the section that is being read.
    private let headers = HeaderBlock()
    /// The stream whose header section is being read: sections are never interleaved.
    private var headerStream: HTTP2Stream?
    /// Streams that were answered before the peer had sent all of its request, by number.
    private var answeredEarly: [(stream: HTTP2Stream, id: Int32)] = []
    /// Whether the peer has spoken HTTP/2: its SETTINGS have come (RFC 9113 §3.4).
    package private(set) var hasPeerSettings = false

    /// Where it has its memory; nil: from malloc.
    private let memory: SessionMemory?

    /// Makes a session and queues its SETTINGS.
    /// - Throws: when memory runs out.
    package convenience init(role: Role, settings: HTTP2Settings, delegate: any HTTP2SessionDelegate)
        throws(HTTP2SessionError)
    {
        try self.init(role: role, settings: settings, delegate: delegate, memory: nil)
    }

    /// As above.
    /// - Parameter memory: with the room of the event loop that the session is used on.
    init(role: Role, settings: HTTP2Settings, delegate: any HTTP2SessionDelegate, memory: SessionMemory?)
        throws(HTTP2SessionError)
    {
        self.role = role
        self.memory = memory
        self.settings = settings
        self.delegate = delegate
        // SAFETY: unretained; close() destroys the session before self can die, so userData outlives it.
        let userData = unsafe Unmanaged.passUnretained(self).toOpaque()
        let code = unsafe makeSession(role, userData, memory, &raw)
        guard code == 0 else { throw HTTP2SessionError(Int(code)) }
        try announce()
    }

    deinit { close() }

    /// Destroys the session; open streams are forgotten without a word. Idempotent. Not inside a delegate call.
    package func close() {
        guard let session = unsafe raw else { return }
        precondition(!isBusy, "an HTTP/2 session was closed from inside one of its calls")
        unsafe raw = nil
        unsafe nghttp2_session_del(session)
    }

    /// Gives memory back that it does not need while no stream is open. Called now and then.
    package func giveBackMemory() {
        guard openStreams == 0, !isBusy else { return }
        memory?.giveBack()
        freeSlots = []
        slots = []
        if headerStream == nil { headers.giveBack(keepingBytes: 0) }
    }

    /// How many frames wait to be sent, answers and what the protocol asks for.
    package var outboundFrames: Int {
        guard let raw = unsafe raw else { return 0 }
        return unsafe nghttp2_session_get_outbound_queue_size(raw)
    }

    /// How many streams are open.
    package var openStreams: Int { slots.count - freeSlots.count }

    /// Whether the connection has nothing more to read or write and should be closed.
    package var isFinished: Bool {
        guard let raw = unsafe raw else { return true }
        return unsafe nghttp2_session_want_read(raw) == 0 && nghttp2_session_want_write(raw) == 0
    }

    /// The largest body that may be sent on a new stream without waiting; for tests of flow control.
    package var remoteWindowBytes: Int {
        guard let raw = unsafe raw else { return 0 }
        return Int(unsafe nghttp2_session_get_remote_window_size(raw))
    }

    /// How many streams the peer allows at a time.
    package var remoteMaxConcurrentStreams: UInt32 {
        guard let raw = unsafe raw else { return 0 }
        return unsafe nghttp2_session_get_remote_settings(raw, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
    }

    // MARK: - Bytes in, bytes out

    /// Reads bytes of the connection, calling the delegate.
    /// - Throws: the connection cannot go on; close it after sending what `send` gives.
    package func receive(_ bytes: UnsafeRawBufferPointer) throws(HTTP2SessionError) {
        guard let raw = unsafe raw, bytes.count > 0 else { return }
        enter()
        defer { isBusy = false }
        // SAFETY: the pointer is used only during the call; callbacks get parts of it for their own duration.
        let read = unsafe nghttp2_session_mem_recv(
            raw, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
        // NGHTTP2_ERR_NOMEM, _CALLBACK_FAILURE, _BAD_CLIENT_MAGIC, _FLOODED.
        if read < 0 { throw HTTP2SessionError(read) }
    }

    /// Collects the bytes that are due and gives them out in order. Small frames come together in one buffer; body
    /// buffers come as they were handed in.
    /// - Throws: the connection cannot go on.
    package func send(_ write: (ByteBuffer) -> Void) throws(HTTP2SessionError) {
        guard let raw = unsafe raw else { return }
        unsafe try collect(raw)
        if !answeredEarly.isEmpty {
            unsafe endUploads(raw)
            unsafe try collect(raw)
        }
        output.drain(write)
    }

    /// Throws away the bytes that are due: they were sent before there was a session (`HTTP2Greeting`).
    func forgetOutput() throws(HTTP2SessionError) {
        try send { _ in }
    }

    private func collect(_ raw: OpaquePointer) throws(HTTP2SessionError) {
        enter()
        defer { isBusy = false }
        while true {
            var bytes: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(raw, &bytes)
            // NGHTTP2_ERR_NOMEM, _CALLBACK_FAILURE.
            if count < 0 { throw HTTP2SessionError(count) }
            if count == 0 { return }
            // SAFETY: valid until the next call into the session; copied here.
            unsafe output.append(UnsafeRawBufferPointer(start: bytes, count: count))
        }
    }

    private func enter() {
        precondition(!isBusy, "an HTTP/2 session was asked to read or write from inside one of its calls")
        isBusy = true
    }

    /// Asks clients that have their answer to stop sending the request (RFC 9113 §8.1): a refused body costs no more.
    private func endUploads(_ raw: OpaquePointer) {
        answeredEarly.removeAll { stream, id in
            guard stream.id == id, !stream.peerEnded else { return true }
            guard stream.isSent else { return false }
            // Fails only when memory has run out; the next `send` says so then.
            _ = unsafe nghttp2_submit_rst_stream(raw, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, 0)
            return true
        }
    }

    // MARK: - Messages

    /// Opens a stream with a request.
    /// - Parameter body: sent as it is; nil ends the stream with the head.
    /// - Throws: no stream may be opened any more (identifiers used up, GOAWAY) or memory ran out.
    package func request(_ head: HTTP2Fields, body: [ByteBuffer]?) throws(HTTP2SessionError) -> HTTP2Stream {
        guard let raw = unsafe raw else { throw HTTP2SessionError(Int(NGHTTP2_ERR_SESSION_CLOSING.rawValue)) }
        let stream = takeStream()
        // SAFETY: the stream object lives in `slots` until on_stream_close.
        let userData = unsafe Unmanaged.passUnretained(stream).toOpaque()
        let id = unsafe head.withPairs { pairs, count in
            guard body != nil else {
                return unsafe nghttp2_submit_request(raw, nil, pairs, count, nil, userData)
            }
            var provider = unsafe bodyProvider(userData)
            return unsafe nghttp2_submit_request(raw, nil, pairs, count, &provider, userData)
        }
        guard id > 0 else {
            giveBack(stream)
            throw HTTP2SessionError(Int(id))
        }
        stream.open(id: id)
        if let body { stream.setBody(body) } else { stream.isSent = true }
        stream.answered = true
        return stream
    }

    /// Answers a request. Does nothing when the stream was answered before or is gone.
    /// - Parameters:
    ///   - body: may be empty.
    ///   - trailers: nil ends the stream with the body.
    package func respond(
        _ stream: HTTP2Stream, _ head: HTTP2Fields, body: ByteBuffer?, trailers: HTTP2Fields? = nil
    ) throws(HTTP2SessionError) {
        guard let raw = unsafe raw, stream.id != 0, !stream.answered else { return }
        stream.answered = true
        stream.trailers = trailers
        let hasBody = body != nil || trailers != nil
        if let body { stream.setBody(body) }
        // SAFETY: as in `request`.
        let userData = unsafe Unmanaged.passUnretained(stream).toOpaque()
        let code = unsafe head.withPairs { pairs, count in
            guard hasBody else { return unsafe nghttp2_submit_response(raw, stream.id, pairs, count, nil) }
            var provider = unsafe bodyProvider(userData)
            return unsafe nghttp2_submit_response(raw, stream.id, pairs, count, &provider)
        }
        // NGHTTP2_ERR_NOMEM; _INVALID_ARGUMENT, _DATA_EXIST, _PROTO would be our bug.
        if code != 0 { throw HTTP2SessionError(Int(code)) }
        if !hasBody { stream.isSent = true }
        if !stream.peerEnded { answeredEarly.append((stream, stream.id)) }
    }

    /// Ends a stream at once with an RFC 9113 §7 error code.
    package func reset(_ stream: HTTP2Stream, code: UInt32) {
        guard let raw = unsafe raw, stream.id != 0 else { return }
        stream.answered = true
        // Fails only when memory has run out; the next `send` says so then.
        _ = unsafe nghttp2_submit_rst_stream(raw, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, code)
    }

    /// Asks the peer for a sign of life.
    package func ping() {
        guard let raw = unsafe raw else { return }
        _ = unsafe nghttp2_submit_ping(raw, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
    }

    /// Announces the end: first `isFinal: false`, which only tells, then, a round trip later, `isFinal: true`, which
    /// names the last stream that was taken (RFC 9113 §6.8).
    package func goAway(isFinal: Bool, code: UInt32 = 0, debug: StaticString = "") {
        guard let raw = unsafe raw else { return }
        if isFinal {
            let last = unsafe nghttp2_session_get_last_proc_stream_id(raw)
            _ = unsafe nghttp2_submit_goaway(
                raw, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, code, debug.utf8Start, debug.utf8CodeUnitCount)
        } else {
            _ = unsafe nghttp2_submit_shutdown_notice(raw)
        }
    }

    /// The peer will send no more bytes: requests that are incomplete are given up, the others can still be answered, and
    /// the session is finished when they are.
    package func inputEnded() {
        for stream in slots where stream.id != 0 && !stream.peerEnded {
            reset(stream, code: NGHTTP2_CANCEL.rawValue)
        }
        goAway(isFinal: true)
    }

    /// Whether an answer is still to be given by the owner.
    var isOwnerAsked: Bool { slots.contains { $0.id != 0 && !$0.answered } }

    private func announce() throws(HTTP2SessionError) {
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

    // MARK: - Streams

    private func takeStream() -> HTTP2Stream {
        if let slot = freeSlots.popLast() { return slots[slot] }
        let stream = HTTP2Stream(slot: slots.count, headers: headers)
        slots.append(stream)
        return stream
    }

    private func giveBack(_ stream: HTTP2Stream) {
        stream.close()
        freeSlots.append(stream.slot)
        // What many streams at a time took is not kept by a connection without any.
        if freeSlots.count == slots.count, slots.count > Self.idleSlotsMax {
            freeSlots = []
            slots = []
        }
    }

    /// Slots that are kept for streams to come.
    package static let idleSlotsMax = 64

    /// The object of an open stream; nil for the connection itself and for streams that we refused to open.
    fileprivate func stream(_ id: Int32) -> HTTP2Stream? {
        guard let pointer = unsafe nghttp2_session_get_stream_user_data(raw, id) else { return nil }
        // SAFETY: user data is set to objects that `slots` holds, and the stream is open.
        return unsafe Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
    }
}

// MARK: - What nghttp2 calls

extension HTTP2Session {
    fileprivate func headersBegan(_ id: Int32) -> Int32 {
        if let known = stream(id) {
            known.headers.removeAll()
            known.check.beginTrailers()
            headerStream = known
            return 0
        }
        headerStream = nil
        guard role == .server else { return 0 }
        let stream = takeStream()
        stream.open(id: id)
        headerStream = stream
        // SAFETY: as in `request`.
        return unsafe nghttp2_session_set_stream_user_data(
            raw, id, Unmanaged.passUnretained(stream).toOpaque())
    }

    fileprivate func header(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Int32 {
        guard let stream = headerStream, !stream.hasTooManyFields else { return 0 }
        if role == .server, unsafe !stream.check.field(name, value) { return 0 }
        if stream.headers.byteCount + name.count + value.count + 32 * (stream.headers.count + 1)
            > settings.maxHeaderBytes
        {
            // nghttp2 has to decode the rest of the section for the connection's sake; of a client's stream nothing more is
            // wanted then, a server's owner answers.
            guard role == .server else { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue }
            stream.hasTooManyFields = true
            return 0
        }
        unsafe stream.headers.append(name: name, value: value)
        return 0
    }

    fileprivate func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
        let header = unsafe frame.pointee.hd
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            guard let stream = stream(header.stream_id) else { return 0 }
            headerStream = nil
            let isTrailers = !stream.readingFirstSection
            // An interim answer (1xx) is followed by the real first section.
            let interim =
                role == .client && !isTrailers && stream.headers.field(":status", hasPrefix: "1") == true
            if interim { return 0 }
            stream.readingFirstSection = false
            if role == .server {
                let endsStream = UInt32(header.flags) & UInt32(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
                stream.check.endSection(endsStream: endsStream)
                if refuseMalformed(stream) { return 0 }
            }
            delegate.headersEnded(stream, isTrailers: isTrailers)
            headers.giveBack()
            endIfFlagged(header, stream)
        case NGHTTP2_DATA.rawValue:
            guard let stream = stream(header.stream_id) else { return 0 }
            endIfFlagged(header, stream)
        case NGHTTP2_SETTINGS.rawValue:
            hasPeerSettings = true
        case NGHTTP2_GOAWAY.rawValue:
            let goAway = unsafe frame.pointee.goaway
            unsafe delegate.goAway(lastStream: goAway.last_stream_id, code: goAway.error_code)
        case NGHTTP2_PING.rawValue:
            if UInt32(header.flags) & UInt32(NGHTTP2_FLAG_ACK.rawValue) != 0 {
                delegate.pingAcknowledged()
            } else {
                delegate.pingReceived()
            }
        default: break
        }
        return 0
    }

    private func endIfFlagged(_ header: nghttp2_frame_hd, _ stream: HTTP2Stream) {
        guard UInt32(header.flags) & UInt32(NGHTTP2_FLAG_END_STREAM.rawValue) != 0, stream.id != 0 else {
            return
        }
        if role == .server {
            stream.check.end()
            if refuseMalformed(stream) { return }
        }
        stream.peerEnded = true
        delegate.ended(stream)
    }

    fileprivate func dataReceived(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
        guard let stream = stream(id) else { return }
        if role == .server {
            stream.check.body(bytes.count)
            if refuseMalformed(stream) { return }
        }
        unsafe delegate.received(bytes, stream)
    }

    /// Resets a request that is malformed.
    /// - Returns: whether it is.
    private func refuseMalformed(_ stream: HTTP2Stream) -> Bool {
        guard stream.check.fault != nil else { return false }
        if !stream.answered { reset(stream, code: NGHTTP2_PROTOCOL_ERROR.rawValue) }
        return true
    }

    /// A frame of ours has left.
    fileprivate func frameSent(_ frame: UnsafePointer<nghttp2_frame>) {
        guard unsafe UInt32(frame.pointee.hd.type) == NGHTTP2_RST_STREAM.rawValue else { return }
        let code = unsafe frame.pointee.rst_stream.error_code
        if code == NGHTTP2_PROTOCOL_ERROR.rawValue,
            let fault = unsafe stream(frame.pointee.hd.stream_id)?.check.fault
        {
            delegate.resetSent(.malformed(fault))
        } else {
            delegate.resetSent(.code(code))
        }
    }

    fileprivate func streamClosed(_ id: Int32, _ code: UInt32) {
        guard let stream = stream(id) else { return }
        if headerStream === stream { headerStream = nil }
        delegate.closed(stream, code: code)
        giveBack(stream)
    }

    /// Says how many bytes the next DATA frame carries; the bytes themselves go out in `writeBody`.
    fileprivate func nextBody(_ stream: HTTP2Stream, _ limit: Int, _ flags: UnsafeMutablePointer<UInt32>)
        -> Int
    {
        let count = min(limit, stream.bodyBytesLeft)
        stream.isBodyBegun = true
        var set = UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue)
        if count == stream.bodyBytesLeft {
            set |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
            stream.isSent = true
            if let trailers = stream.trailers {
                set |= UInt32(NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
                let code = unsafe trailers.withPairs { pairs, count in
                    unsafe nghttp2_submit_trailer(raw, stream.id, pairs, count)
                }
                if code != 0 { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
            }
        }
        unsafe flags.pointee = set
        return count
    }

    fileprivate func writeBody(_ stream: HTTP2Stream, _ frameHeader: UnsafePointer<UInt8>, _ count: Int) {
        // SAFETY: nghttp2 gives the nine bytes of a frame header, valid for this call; copied.
        unsafe output.append(UnsafeRawBufferPointer(start: frameHeader, count: 9))
        stream.takeBody(count, into: &output)
    }
}

// MARK: - Thunks

private func bodyProvider(_ stream: UnsafeMutableRawPointer) -> nghttp2_data_provider {
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

private func makeSession(
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
    unsafe nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks) {
        _, _, _, connectionWindow, streamWindow, maxFrame, _ in
        Int(min(connectionWindow, streamWindow, Int32(min(maxFrame, 1 << 20))))
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
