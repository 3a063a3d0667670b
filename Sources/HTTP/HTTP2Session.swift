internal import CNghttp2
package import NIOCore

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

    private var session: OpaquePointer?  // nghttp2_session *, owned; nil after close()
    /// Whether the session's memory was put away (`SessionMemory`): it has no streams and nothing to say then.
    private(set) var isAway = false
    /// Whether it is among those that are put away soon: once, however often it answers until then.
    private var waitsToRest = false
    /// The session to call nghttp2 with, brought back if it was away: the one way to it.
    var raw: OpaquePointer? {
        if isAway { bringBack() }
        return unsafe session
    }
    let delegate: any HTTP2SessionDelegate
    private var isCalled = false
    /// Whether nghttp2 is reading or writing, so that whoever asks is inside one of its calls.
    package private(set) var isBusy: Bool {
        get { isCalled }
        set { isCalled = newValue }
    }
    let role: Role
    let settings: HTTP2Settings
    var output = HTTP2Output()
    private var slots: [HTTP2Stream] = []
    private var freeSlots: [Int] = []
    /// Of the section that is being read.
    let headers = HeaderBlock()
    /// The stream whose header section is being read: sections are never interleaved.
    var headerStream: HTTP2Stream?
    /// Streams that were answered before the peer had sent all of its request, by number.
    private var answeredEarly: [(stream: HTTP2Stream, id: Int32)] = []
    /// Whether the peer has spoken HTTP/2: its SETTINGS have come (RFC 9113 §3.4).
    package internal(set) var hasPeerSettings = false

    /// Where it has its memory; nil: from malloc, and after the end.
    private(set) var memory: SessionMemory?

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
        let code = unsafe makeSession(role, userData, memory, &session)
        guard code == 0 else { throw HTTP2SessionError(Int(code)) }
        try announce()
    }

    deinit { close() }

    /// Destroys the session; open streams are forgotten without a word. Idempotent. Not inside a delegate call.
    package func close() {
        guard unsafe session != nil else { return }
        precondition(!isBusy, "an HTTP/2 session was closed from inside one of its calls")
        // One that was put away is not brought back to be thrown away.
        if memory?.holdsAll != true { unsafe nghttp2_session_del(raw) }
        unsafe session = nil
        isAway = false
        memory = nil
    }

    // MARK: - Idle

    /// Gives memory back that it does not need while no stream is open. Called now and then.
    package func giveBackMemory() {
        guard openStreams == 0, !isBusy, !isAway else { return }
        forgetStreams()
        putAwaySoon()
    }

    private func putAwaySoon() {
        guard let memory, !waitsToRest else { return }
        waitsToRest = true
        memory.putAwaySoon(self)
    }

    private func forgetStreams() {
        freeSlots = []
        slots = []
        if headerStream == nil { headers.giveBack(keepingBytes: 0) }
    }

    /// Says how much memory sessions of a process may take without a stream, before they are put away at once. Any thread.
    /// - Parameter loops: how many event loops they are on.
    package static func limitAwake(toBytes bytes: Int, loops: Int) {
        SessionSlots.limitAwake(toBytes: bytes, loops: loops)
    }

    /// Whether so many sessions of its loop are awake that one that has answered everything should keep nothing.
    package var isCrowded: Bool { memory?.isCrowded == true }

    /// Everything was answered: in a crowd it is put away at once.
    package func rest() {
        if openStreams == 0, !isAway, isCrowded { putAwaySoon() }
    }

    /// Puts its memory away, unless there is something to do for it. What it is asked, or told, brings it back.
    func putAway() {
        waitsToRest = false
        guard let session = unsafe session, let memory, !isAway, !isBusy, openStreams == 0, output.isEmpty,
            unsafe nghttp2_session_want_write(session) == 0, unsafe nghttp2_session_want_read(session) != 0
        else { return }
        // They have ended.
        answeredEarly = []
        forgetStreams()
        isAway = memory.putAway()
    }

    private func bringBack() {
        isAway = false
        memory?.bringBack()
    }

    /// How many frames wait to be sent, answers and what the protocol asks for.
    package var outboundFrames: Int {
        guard !isAway, let raw = unsafe raw else { return 0 }
        return unsafe nghttp2_session_get_outbound_queue_size(raw)
    }

    /// How many streams are open.
    package var openStreams: Int { slots.count - freeSlots.count }

    /// Whether the connection has nothing more to read or write and should be closed.
    package var isFinished: Bool {
        if isAway { return false }
        guard let raw = unsafe raw else { return true }
        return unsafe nghttp2_session_want_read(raw) == 0 && nghttp2_session_want_write(raw) == 0
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
        guard !isAway, let raw = unsafe raw else { return }
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

    // MARK: - Streams

    func takeStream() -> HTTP2Stream {
        if let slot = freeSlots.popLast() { return slots[slot] }
        let stream = HTTP2Stream(slot: slots.count, headers: headers)
        slots.append(stream)
        return stream
    }

    func giveBack(_ stream: HTTP2Stream) {
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
    func stream(_ id: Int32) -> HTTP2Stream? {
        guard let pointer = unsafe nghttp2_session_get_stream_user_data(raw, id) else { return nil }
        // SAFETY: user data is set to objects that `slots` holds, and the stream is open.
        return unsafe Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
    }
}
