internal import CNghttp2

// What nghttp2 calls. Inside `receive` and `send` only.
extension HTTP2Session {
    func headersBegan(_ id: Int32) -> Int32 {
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

    func header(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Int32 {
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

    func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
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

    func dataReceived(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
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
    func frameSent(_ frame: UnsafePointer<nghttp2_frame>) {
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

    func streamClosed(_ id: Int32, _ code: UInt32) {
        guard let stream = stream(id) else { return }
        if headerStream === stream { headerStream = nil }
        delegate.closed(stream, code: code)
        giveBack(stream)
    }

    /// Says how many bytes the next DATA frame carries; the bytes themselves go out in `writeBody`.
    func nextBody(_ stream: HTTP2Stream, _ limit: Int, _ flags: UnsafeMutablePointer<UInt32>)
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

    func writeBody(_ stream: HTTP2Stream, _ frameHeader: UnsafePointer<UInt8>, _ count: Int) {
        // SAFETY: nghttp2 gives the nine bytes of a frame header, valid for this call; copied.
        unsafe output.append(UnsafeRawBufferPointer(start: frameHeader, count: 9))
        stream.takeBody(count, into: &output)
    }
}
