internal import MetricBuilding
package import NIOCore
package import OTLP
package import RequestServing

/// Jaeger's batches in protobuf: `jaeger.api_v2.PostSpansRequest`. Any thread.
package struct JaegerProtobuf: RequestTranslator {
    package init() {}

    package var growth: Int { 32 }

    package func translate(_ body: WireBytes, limitBytes: Int) throws(TranslationError) -> ByteBuffer {
        var traces = try JaegerTraces(limitBytes: limitBytes, bodyBytes: body.count)
        try body.forEachField("PostSpansRequest") { (field) throws(TranslationError) in
            guard field.number == 1, field.isBytes else { return }
            // The process comes behind the spans.
            var process = JaegerProcess()
            try field.bytes.forEachField("Batch") { (field) throws(TranslationError) in
                if field.number == 2, field.isBytes { process = try JaegerProcess(field.bytes) }
            }
            let place = traces.resource(process)
            try field.bytes.forEachField("Batch") { (field) throws(TranslationError) in
                guard field.number == 1, field.isBytes, field.bytes.count > 0 else { return }
                var own: JaegerProcess?
                let span = try JaegerSpan(field.bytes, process: &own)
                try traces.add(span, to: own.map { traces.resource($0) } ?? place, readsScope: true)
            }
        }
        return try traces.finish()
    }
}

extension WireBytes {
    /// Gives the fields of a message whose name is for errors.
    fileprivate func forEachField(
        _ name: StaticString, _ body: (WireField) throws(TranslationError) -> Void
    ) throws(TranslationError) {
        var fields = fields
        while let field = fields.next() { try body(field) }
        if fields.isMalformed { throw .malformed("jaeger: \(name) is malformed") }
    }

    /// An id of so many bytes; shorter ones of traces are padded.
    fileprivate func id(_ name: StaticString, _ count: Int) throws(TranslationError) -> [UInt8] {
        guard self.count == count || count == 16 && self.count == 8 else {
            throw .malformed("jaeger: \(name) has \(self.count) bytes, not \(count)")
        }
        return [UInt8](repeating: 0, count: count - self.count) + array
    }

    /// Nanoseconds of a `Timestamp` or `Duration`.
    fileprivate func time(_ name: StaticString) throws(TranslationError) -> Int64 {
        var (seconds, nanoseconds) = (0 as Int64, 0 as Int64)
        try forEachField(name) { (field) throws(TranslationError) in
            if field.number == 1, !field.isBytes { seconds = field.int64 }
            if field.number == 2, !field.isBytes { nanoseconds = field.int64 }
        }
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carries) = product.addingReportingOverflow(nanoseconds)
        return overflow || carries ? (seconds < 0 ? .min : .max) : sum
    }
}

extension TagList {
    /// Adds a `KeyValue`.
    fileprivate mutating func add(_ message: WireBytes) throws(TranslationError) {
        var key: [UInt8] = []
        var kind: UInt64 = 0
        var (text, bytes) = ([] as [UInt8], [] as [UInt8])
        var (flag, whole, number) = (false, 0 as Int64, 0.0)
        try message.forEachField("KeyValue") { (field) throws(TranslationError) in
            switch (field.number, field.isBytes) {
            case (1, true): key = field.bytes.array
            case (2, false): kind = field.bits
            case (3, true): text = field.bytes.array
            case (4, false): flag = field.bool
            case (5, false): whole = field.int64
            case (6, false): number = field.double
            case (7, true): bytes = field.bytes.array
            default: break
            }
        }
        switch kind {
        case 0: put(key, .text(text))
        case 1: put(key, .bool(flag))
        case 2: put(key, .int(whole))
        case 3: put(key, .double(number))
        case 4: put(key, .bytes(bytes))
        default: put(key, .text(Array("<Unknown Jaeger TagType \"\(kind)\">".utf8)))
        }
    }
}

extension JaegerProcess {
    fileprivate init(_ message: WireBytes) throws(TranslationError) {
        var process = JaegerProcess()
        try message.forEachField("Process") { (field) throws(TranslationError) in
            if field.number == 1, field.isBytes { process.service = field.bytes.array }
            if field.number == 2, field.isBytes { try process.tags.add(field.bytes) }
        }
        self = process
    }
}

extension JaegerSpan {
    /// - Parameter process: set when the span names one of its own.
    fileprivate init(_ message: WireBytes, process: inout JaegerProcess?) throws(TranslationError) {
        var span = JaegerSpan()
        var (began, duration) = (0 as Int64, 0 as Int64)
        var own: JaegerProcess?
        try message.forEachField("Span") { (field) throws(TranslationError) in
            guard field.isBytes else { return }
            switch field.number {
            case 1: span.traceID = try field.bytes.id("trace_id", 16)
            case 2: span.spanID = try field.bytes.id("span_id", 8)
            case 3: span.name = field.bytes.array
            case 4: span.references.append(try Reference(field.bytes))
            case 6: began = try field.bytes.time("start_time")
            case 7: duration = try field.bytes.time("duration")
            case 8: try span.tags.add(field.bytes)
            case 9:
                let log = try Log(field.bytes)
                // What says nothing is no event.
                if log.time != 0 || !log.fields.isEmpty { span.logs.append(log) }
            case 10: own = try JaegerProcess(field.bytes)
            default: break
            }
        }
        span.start = UInt64(clamping: began)
        let (end, overflow) = began.addingReportingOverflow(duration)
        span.end = UInt64(clamping: overflow ? .max : end)
        process = own
        self = span
    }
}

extension JaegerSpan.Reference {
    fileprivate init(_ message: WireBytes) throws(TranslationError) {
        var reference = JaegerSpan.Reference()
        reference.isChildOf = true
        try message.forEachField("SpanRef") { (field) throws(TranslationError) in
            switch (field.number, field.isBytes) {
            case (1, true): reference.traceID = try field.bytes.id("SpanRef.trace_id", 16)
            case (2, true): reference.spanID = try field.bytes.id("SpanRef.span_id", 8)
            case (3, false): reference.isChildOf = field.bits == 0
            default: break
            }
        }
        guard reference.traceID.count == 16, reference.spanID.count == 8 else {
            throw .malformed("jaeger: a reference without ids")
        }
        self = reference
    }
}

extension JaegerSpan.Log {
    fileprivate init(_ message: WireBytes) throws(TranslationError) {
        var log = JaegerSpan.Log()
        try message.forEachField("Log") { (field) throws(TranslationError) in
            guard field.isBytes else { return }
            if field.number == 1 { log.time = UInt64(clamping: try field.bytes.time("Log.timestamp")) }
            if field.number == 2 { try log.fields.add(field.bytes) }
        }
        self = log
    }
}
