// The answers of OTLP/HTTP to requests in JSON.

extension ExportResponse {
    /// The JSON encoding: `{}` when everything was accepted.
    ///
    /// - Parameter signal: its `Export*PartialSuccess` names the count after its items.
    package func encodeJSON(_ signal: Signal) -> [UInt8] {
        guard rejected != 0 || !message.isEmpty else { return Array("{}".utf8) }
        var text = JSONText()
        text.put(json: "{\"partialSuccess\":{")
        if rejected != 0 {
            text.put(string: Self.rejectedKey(signal))
            text.put(json: ":\"")
            text.put(rejected)
            text.mark("\"")
            if !message.isEmpty { text.mark(",") }
        }
        if !message.isEmpty {
            text.put(json: "\"errorMessage\":")
            text.put(string: message)
        }
        text.put(json: "}}")
        return text.array
    }

    private static func rejectedKey(_ signal: Signal) -> String {
        switch signal {
        case .traces: "rejectedSpans"
        case .metrics: "rejectedDataPoints"
        case .logs: "rejectedLogRecords"
        }
    }

    /// Reads the JSON encoding, of any signal; nil when it is none.
    package init?(decodingJSON text: UnsafeRawBufferPointer) {
        self.init()
        do throws(JSONError) {
            var reader = unsafe try JSONReader(text)
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let isPartialSuccess = key == "partialSuccess" || key == "partial_success"
                if isPartialSuccess, try reader.peek() == .object {
                    try readPartialSuccess(&reader)
                } else {
                    try reader.skipValue()
                }
            }
            try reader.finish()
        } catch {
            return nil
        }
    }

    private mutating func readPartialSuccess(_ reader: inout JSONReader) throws(JSONError) {
        let counts = [
            "rejectedSpans", "rejectedDataPoints", "rejectedLogRecords", "rejected_spans",
            "rejected_data_points",
            "rejected_log_records",
        ]
        try reader.beginObject()
        while let key = try reader.nextKey()?.text {
            switch (key, try reader.peek()) {
            case ("errorMessage", .string), ("error_message", .string): message = try reader.readString().text
            case (_, .string) where counts.contains(key):
                rejected = Int64(try reader.readString().text) ?? rejected
            case (_, .number) where counts.contains(key): rejected = try reader.readNumber().int64 ?? rejected
            default: try reader.skipValue()
            }
        }
    }
}

extension RPCStatus {
    /// The JSON encoding.
    package func encodeJSON() -> [UInt8] {
        var text = JSONText()
        text.put(json: "{\"code\":")
        text.put(Int64(code))
        text.put(json: ",\"message\":")
        text.put(string: message)
        if let retryDelay {
            text.put(json: ",\"details\":[{\"@type\":")
            text.put(string: Self.retryInfoType)
            text.put(json: ",\"retryDelay\":")
            text.put(string: Self.durationText(retryDelay))
            text.put(json: "}]")
        }
        text.mark("}")
        return text.array
    }

    /// `1s`, `1.500000000s`.
    private static func durationText(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = attoseconds / 1_000_000_000
        guard nanoseconds != 0 else { return "\(seconds)s" }
        return "\(seconds).\(String(1_000_000_000 + nanoseconds).dropFirst())s"
    }

    /// Reads the JSON encoding; nil when it is none. Details other than `RetryInfo` are skipped.
    package init?(decodingJSON text: UnsafeRawBufferPointer) {
        self.init(code: 0, message: "")
        do throws(JSONError) {
            var reader = unsafe try JSONReader(text)
            try reader.beginObject()
            while let key = try reader.nextKey()?.text {
                switch (key, try reader.peek()) {
                case ("code", .number):
                    code = Int32(truncatingIfNeeded: try reader.readNumber().int64 ?? 0)
                case ("message", .string): message = try reader.readString().text
                case ("details", .list):
                    try reader.beginList()
                    while try reader.nextElement() { try readDetail(&reader) }
                default: try reader.skipValue()
                }
            }
            try reader.finish()
        } catch {
            return nil
        }
    }

    private mutating func readDetail(_ reader: inout JSONReader) throws(JSONError) {
        guard try reader.peek() == .object else { return try reader.skipValue() }
        var isRetryInfo = false
        var delay: Duration?
        try reader.beginObject()
        while let key = try reader.nextKey()?.text {
            switch (key, try reader.peek()) {
            case ("@type", .string): isRetryInfo = try reader.readString().text == Self.retryInfoType
            case ("retryDelay", .string), ("retry_delay", .string):
                delay = Self.duration(try reader.readString().text)
            default: try reader.skipValue()
            }
        }
        if isRetryInfo { retryDelay = delay ?? retryDelay }
    }

    /// Reads a duration as protobuf writes it in JSON; nil for a negative one.
    private static func duration(_ text: String) -> Duration? {
        guard text.hasSuffix("s"), let seconds = Double(text.dropLast()), seconds >= 0, seconds < 1e9 else {
            return nil
        }
        return .nanoseconds(Int64((seconds * 1e9).rounded()))
    }
}
