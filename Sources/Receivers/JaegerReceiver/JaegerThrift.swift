internal import MetricBuilding
package import NIOCore
package import OTLP
package import RequestServing

/// Jaeger's batches in Thrift. Any thread.
package struct JaegerThrift: RequestTranslator {
    package enum Form: Sendable {
        /// A `Batch` in the binary protocol: what is posted.
        case batch
        /// A call of `emitBatch`, in one protocol or the other: what is in a packet.
        case binaryCall, compactCall
    }

    private let form: Form

    package init(_ form: Form) { self.form = form }

    package var growth: Int { 32 }

    package func translate(_ body: WireBytes, limitBytes: Int) throws(TranslationError) -> ByteBuffer {
        var traces = try JaegerTraces(limitBytes: limitBytes, bodyBytes: body.count)
        switch form {
        case .batch:
            var reader = ThriftBinary(body)
            try reader.batch(into: &traces)
        case .binaryCall:
            var reader = ThriftBinary(body)
            try reader.call(into: &traces)
        case .compactCall:
            var reader = ThriftCompact(body)
            try reader.call(into: &traces)
        }
        return try traces.finish()
    }
}

extension ThriftReader {
    /// Reads a call of the agent.
    fileprivate mutating func call(into traces: inout JaegerTraces) throws(TranslationError) {
        let name = try messageName()
        guard name.elementsEqual("emitBatch".utf8) else {
            throw .thrift(
                "unknown call \"\(String(decoding: name.prefix(64), as: UTF8.self))\", not emitBatch")
        }
        var isThere = false
        try structure { (reader, id, type) throws(TranslationError) in
            guard id == 1, type == .structure else { return false }
            try reader.batch(into: &traces)
            isThere = true
            return true
        }
        if !isThere { throw .thrift("a call without a batch") }
    }

    /// Reads a `Batch`. Spans that come before their process are read when it is known.
    fileprivate mutating func batch(into traces: inout JaegerTraces) throws(TranslationError) {
        var found: JaegerProcess?
        var early: Self?
        try structure { (reader, id, type) throws(TranslationError) in
            switch (id, type) {
            case (1, .structure): found = try reader.process()
            case (2, .list):
                if let found {
                    try reader.spans(of: found, into: &traces)
                } else {
                    early = reader
                    return false
                }
            default: return false
            }
            return true
        }
        guard let process = found else { throw .thrift("a batch without a process") }
        try early?.spans(of: process, into: &traces)
    }

    private mutating func spans(
        of process: JaegerProcess, into traces: inout JaegerTraces
    ) throws(TranslationError) {
        let place = traces.resource(process)
        try structures("Batch.spans") { (reader) throws(TranslationError) in
            try traces.add(try reader.span(), to: place)
        }
    }

    private mutating func process() throws(TranslationError) -> JaegerProcess {
        var process = JaegerProcess()
        try structure { (reader, id, type) throws(TranslationError) in
            switch (id, type) {
            case (1, .string): process.service = try reader.string()
            case (2, .list): process.tags = try reader.tags()
            default: return false
            }
            return true
        }
        return process
    }

    private mutating func span() throws(TranslationError) -> JaegerSpan {
        var span = JaegerSpan()
        var (low, high, id, parent) = (0 as Int64, 0 as Int64, 0 as Int64, 0 as Int64)
        var (start, duration) = (0 as Int64, 0 as Int64)
        var needed = RequiredFields(1, 2, 3, 4, 5, 7, 8, 9)
        try structure { (reader, field, type) throws(TranslationError) in
            switch (field, type) {
            case (1, .i64): low = try reader.integer(type)
            case (2, .i64): high = try reader.integer(type)
            case (3, .i64): id = try reader.integer(type)
            case (4, .i64): parent = try reader.integer(type)
            case (5, .string): span.name = try reader.string()
            case (6, .list): span.references = try reader.references()
            case (7, .i32): _ = try reader.integer(type)
            case (8, .i64): start = try reader.integer(type)
            case (9, .i64): duration = try reader.integer(type)
            case (10, .list): span.tags = try reader.tags()
            case (11, .list): span.logs = try reader.logs()
            default: return false
            }
            needed.found(field)
            return true
        }
        if let missing = needed.missing { throw .thrift("field \(missing) of Span is not set") }
        span.traceID = bigEndian(high) + bigEndian(low)
        span.spanID = bigEndian(id)
        if parent != 0 { span.parentID = bigEndian(parent) }
        span.start = nanoseconds(start)
        span.end = nanoseconds(start &+ duration)
        return span
    }

    private mutating func references() throws(TranslationError) -> [JaegerSpan.Reference] {
        var references: [JaegerSpan.Reference] = []
        try structures("Span.references") { (reader) throws(TranslationError) in
            var reference = JaegerSpan.Reference()
            var (low, high, id) = (0 as Int64, 0 as Int64, 0 as Int64)
            var needed = RequiredFields(1, 2, 3, 4)
            try reader.structure { (reader, field, type) throws(TranslationError) in
                switch (field, type) {
                case (1, .i32): reference.isChildOf = try reader.integer(type) == 0
                case (2, .i64): low = try reader.integer(type)
                case (3, .i64): high = try reader.integer(type)
                case (4, .i64): id = try reader.integer(type)
                default: return false
                }
                needed.found(field)
                return true
            }
            if let missing = needed.missing { throw .thrift("field \(missing) of SpanRef is not set") }
            reference.traceID = bigEndian(high) + bigEndian(low)
            reference.spanID = bigEndian(id)
            references.append(reference)
        }
        return references
    }

    private mutating func logs() throws(TranslationError) -> [JaegerSpan.Log] {
        var logs: [JaegerSpan.Log] = []
        try structures("Span.logs") { (reader) throws(TranslationError) in
            var log = JaegerSpan.Log()
            var needed = RequiredFields(1, 2)
            try reader.structure { (reader, field, type) throws(TranslationError) in
                switch (field, type) {
                case (1, .i64): log.time = nanoseconds(try reader.integer(type))
                case (2, .list): log.fields = try reader.tags()
                default: return false
                }
                needed.found(field)
                return true
            }
            if let missing = needed.missing { throw .thrift("field \(missing) of Log is not set") }
            logs.append(log)
        }
        return logs
    }

    private mutating func tags() throws(TranslationError) -> TagList {
        var tags = TagList()
        try structures("a list of tags") { (reader) throws(TranslationError) in
            var key: [UInt8]?
            var kind: Int64?
            var text: [UInt8] = []
            var (number, whole, flag) = (0.0, 0 as Int64, false)
            var bytes: [UInt8] = []
            try reader.structure { (reader, field, type) throws(TranslationError) in
                switch (field, type) {
                case (1, .string): key = try reader.string()
                case (2, .i32): kind = try reader.integer(type)
                case (3, .string): text = try reader.string()
                case (4, .double): number = try reader.double()
                case (5, .bool): flag = try reader.bool()
                case (6, .i64): whole = try reader.integer(type)
                case (7, .string): bytes = try reader.string()
                default: return false
                }
                return true
            }
            guard let key, let kind else { throw .thrift("a tag has no key or no type") }
            switch kind {
            case 0: tags.put(key, .text(text))
            case 1: tags.put(key, .double(number))
            case 2: tags.put(key, .bool(flag))
            case 3: tags.put(key, .int(whole))
            case 4: tags.put(key, .bytes(bytes))
            default: tags.put(key, .text(Array("<Unknown Jaeger TagType \"<UNSET>\">".utf8)))
            }
        }
        return tags
    }
}

/// The ids, up to 31, of fields that a structure must have.
private struct RequiredFields {
    private var bits: UInt32 = 0

    init(_ ids: Int...) {
        for id in ids { bits |= 1 << UInt32(id) }
    }

    mutating func found(_ id: Int) { bits &= ~(1 << UInt32(id)) }

    /// The first that was not found.
    var missing: Int? { bits == 0 ? nil : bits.trailingZeroBitCount }
}

private func bigEndian(_ value: Int64) -> [UInt8] {
    let bits = UInt64(bitPattern: value)
    return (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * $0)) }
}

/// Nanoseconds of microseconds; 0 before 1970, at most what there is room for.
private func nanoseconds(_ microseconds: Int64) -> UInt64 {
    guard microseconds > 0 else { return 0 }
    let (product, overflow) = UInt64(microseconds).multipliedReportingOverflow(by: 1000)
    return overflow ? .max : product
}
