extension HTTP1RequestParser {
    /// What frames the request, gathered field by field.
    struct Framing {
        let isVersion10: Bool
        private var hosts = 0
        private var contentLength: Int?
        private var isChunked = false
        private var close = false
        private var keepAlive = false

        init(isVersion10: Bool) { self.isVersion10 = isVersion10 }

        /// Looks at the field that `head` got last.
        mutating func note(
            nameLength: Int, _ head: HeaderBlock, _ value: UnsafeRawBufferPointer
        ) throws(HTTP1Error) {
            // Every name has a length of its own: one comparison for most fields.
            switch nameLength {
            case 4 where head.lastName(is: "host"):
                hosts += 1
                for index in 0..<value.count where unsafe !isHostByte(value[index]) {
                    throw unsafe .badHost(shown(value))
                }
            case 10 where head.lastName(is: "connection"):
                let tokens = unsafe value.split(separator: UInt8(ascii: ","))
                for index in unsafe tokens.indices {
                    let token = unsafe tokens[index]
                    close = unsafe close || equalsIgnoringCase(token, "close")
                    keepAlive = unsafe keepAlive || equalsIgnoringCase(token, "keep-alive")
                }
            case 14 where head.lastName(is: "content-length"):
                guard let length = unsafe decimal(value) else { throw unsafe .badContentLength(shown(value)) }
                if contentLength != nil { throw .severalLengths }
                contentLength = length
            case 17 where head.lastName(is: "transfer-encoding"):
                guard unsafe equalsIgnoringCase(value[...], "chunked"), !isVersion10 else {
                    throw unsafe .unknownTransferCoding(shown(value))
                }
                if isChunked { throw .severalLengths }
                isChunked = true
            default:
                break
            }
        }

        func head() throws(HTTP1Error) -> Head {
            if hosts > 1 { throw .severalHosts }
            if hosts == 0, !isVersion10 { throw .noHost }
            if isChunked, contentLength != nil { throw .severalLengths }
            return Head(
                keepAlive: isVersion10 ? keepAlive && !close : !close, isVersion10: isVersion10,
                contentLength: isChunked ? nil : contentLength ?? 0)
        }
    }
}
