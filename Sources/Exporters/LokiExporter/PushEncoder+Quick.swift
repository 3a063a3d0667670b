// The quick way from a record to an entry: one pass over its fields, each written as it comes.
//
// For `mapping: native`, records whose labels are their resource's, and what keeps within the limits. Everything else
// is noticed and left to `encodeGenerally`.

internal import OTLP

/// The fields of a record beside its body and attributes.
struct RecordFields {
    var time: UInt64 = 0
    var observedTime: UInt64 = 0
    var severityNumber: Int32 = 0
    var severityText = WireBytes.none
    var droppedAttributes: UInt32 = 0
    var flags: UInt32 = 0
    var traceID = WireBytes.none
    var spanID = WireBytes.none
    var eventName = WireBytes.none

    /// Takes a field if it is one of these.
    @inline(__always)
    mutating func take(_ field: WireField) {
        switch field.number {
        case Field.LogRecord.time: time = field.bits
        case Field.LogRecord.observedTime: observedTime = field.bits
        case Field.LogRecord.severityNumber: severityNumber = Int32(truncatingIfNeeded: field.bits)
        case Field.LogRecord.severityText: severityText = field.bytes
        case Field.LogRecord.droppedAttributesCount:
            droppedAttributes = UInt32(truncatingIfNeeded: field.bits)
        case Field.LogRecord.flags: flags = UInt32(truncatingIfNeeded: field.bits)
        case Field.LogRecord.traceID: traceID = field.bytes
        case Field.LogRecord.spanID: spanID = field.bytes
        case Field.LogRecord.eventName: eventName = field.bytes
        default: break
        }
    }

    /// The time of the entry.
    @inline(__always)
    func entryTime(now: UInt64) -> UInt64 {
        time != 0 ? time : observedTime != 0 ? observedTime : now
    }
}

/// Counts an entry's metadata without refusing any: whether it fits is asked at the end.
struct MetadataCount {
    var pairs = 0
    var bytes = 0

    @inline(__always)
    mutating func add(_ size: Int) {
        pairs &+= 1
        bytes &+= size
    }
}

extension PushEncoder {
    /// Writes an entry; nil, and nothing written, when the record is not for the quick way.
    @inline(__always)
    mutating func encodeQuickly(_ record: WireBytes, _ context: ResourceContext) -> Place? {
        let start = arena.count
        let entry = arena.beginMessage(0x12)
        var own = RecordFields()
        var metadata = MetadataCount()
        var hasBody = false
        keys.beginRecord()
        for field in record.fields {
            switch field.number {
            case Field.LogRecord.attributes:
                guard field.isBytes, metadata.pairs <= settings.limits.metadataPairs,
                    addQuickly(field.bytes, &metadata)
                else {
                    arena.truncate(to: start)
                    return nil
                }
            case Field.LogRecord.body:
                // Of several, which no sender writes, the last counts.
                guard !hasBody, addLineQuickly(field.bytes) else {
                    arena.truncate(to: start)
                    return nil
                }
                hasBody = true
            default: own.take(field)
            }
        }
        addOwnFields(own, &metadata)
        guard metadata.pairs &+ tailPairs <= settings.limits.metadataPairs,
            metadata.bytes &+ tailBytes <= settings.limits.metadataBytes
        else {
            arena.truncate(to: start)
            return nil
        }
        unsafe arena.append(tail.unsafeBytes)
        let time = own.entryTime(now: now)
        arena.appendTime(time)
        arena.endMessage(entry)
        return Place(
            stream: UInt32(truncatingIfNeeded: stream(of: context)), start: UInt32(start),
            count: UInt32(arena.count &- start), time: time)
    }

    /// Writes the line; false when it is too long.
    @inline(__always)
    private mutating func addLineQuickly(_ body: WireBytes) -> Bool {
        let value = AttributeValue(body)
        if case .string(let text) = value {
            guard text.count <= settings.limits.lineBytes else { return false }
            if text.count > 0 { unsafe arena.appendField(0x12, text.unsafeBytes) }
            return true
        }
        scratch.truncate(to: 0)
        scratch.appendText(value)
        guard scratch.count <= settings.limits.lineBytes else { return false }
        if scratch.count > 0 { unsafe arena.appendField(0x12, scratch.unsafeBytes) }
        return true
    }

    /// Writes an attribute as a pair; false when it is not for the quick way.
    @inline(__always)
    private mutating func addQuickly(_ message: WireBytes, _ metadata: inout MetadataCount) -> Bool {
        let bytes = unsafe message.unsafeBytes
        guard let plain = unsafe PlainAttribute(bytes) else { return addSlowly(message, &metadata) }
        guard let (action, name) = unsafe keys.find(plain.key) else { return addSlowly(message, &metadata) }
        guard action == .metadata else { return action == .drop }
        if plain.isText {
            unsafe arena.appendPair(name, plain.value)
            unsafe metadata.add(name.count &- 2 &+ plain.value.count)
        } else {
            scratch.truncate(to: 0)
            scratch.appendDecimal(plain.number)
            unsafe arena.appendPair(name, scratch.unsafeBytes)
            metadata.add(name.count &- 2 &+ scratch.count)
        }
        return true
    }

    /// The same for any scalar or list, however it is written.
    @inline(never)
    private mutating func addSlowly(_ message: WireBytes, _ metadata: inout MetadataCount) -> Bool {
        let attribute = Attribute(message)
        if case .keyValueList = attribute.value { return false }
        guard let (action, name) = unsafe keys.find(attribute.key.unsafeBytes) else { return false }
        guard action == .metadata else { return action == .drop }
        scratch.truncate(to: 0)
        scratch.appendText(attribute.value)
        unsafe arena.appendPair(name, scratch.unsafeBytes)
        metadata.add(name.count - 2 + scratch.count)
        return true
    }

    /// Writes the record's own fields as pairs.
    @inline(__always)
    mutating func addOwnFields(_ own: RecordFields, _ metadata: inout MetadataCount) {
        if own.time != 0, own.observedTime != 0 {
            addNumber("observed_timestamp", own.observedTime, &metadata)
        }
        if own.severityNumber != 0 {
            scratch.truncate(to: 0)
            scratch.appendDecimal(Int64(own.severityNumber))
            addScratch("severity_number", &metadata)
        }
        if own.severityText.count > 0 { addText("severity_text", own.severityText, &metadata) }
        if own.eventName.count > 0 { addText("event_name", own.eventName, &metadata) }
        if own.droppedAttributes != 0 {
            addNumber("dropped_attributes_count", UInt64(own.droppedAttributes), &metadata)
        }
        if own.flags != 0 { addNumber("flags", UInt64(own.flags), &metadata) }
        addID("trace_id", own.traceID, &metadata)
        addID("span_id", own.spanID, &metadata)
    }

    @inline(__always)
    private mutating func addNumber(
        _ name: StaticString, _ value: UInt64, _ metadata: inout MetadataCount
    ) {
        scratch.truncate(to: 0)
        scratch.appendDecimal(value)
        addScratch(name, &metadata)
    }

    @inline(__always)
    private mutating func addID(_ name: StaticString, _ id: WireBytes, _ metadata: inout MetadataCount) {
        guard id.count > 0, !id.isZero else { return }
        scratch.truncate(to: 0)
        scratch.appendHex(id)
        addScratch(name, &metadata)
    }

    @inline(__always)
    private mutating func addScratch(_ name: StaticString, _ metadata: inout MetadataCount) {
        unsafe arena.appendPair(name: name.bytes, scratch.unsafeBytes)
        metadata.add(name.utf8CodeUnitCount &+ scratch.count)
    }

    @inline(__always)
    private mutating func addText(
        _ name: StaticString, _ text: WireBytes, _ metadata: inout MetadataCount
    ) {
        unsafe arena.appendPair(name: name.bytes, text.unsafeBytes)
        metadata.add(name.utf8CodeUnitCount &+ text.count)
    }
}

/// A `KeyValue` in the form in which nearly all come: key, then value, a text or an integer, lengths of one byte.
@safe
private struct PlainAttribute {
    // SAFETY: ranges within the message, borrowed for as long.
    let key: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer
    let number: Int64
    let isText: Bool

    @inline(__always)
    init?(_ message: UnsafeRawBufferPointer) {
        let count = message.count
        guard count >= 6, let base = message.baseAddress else { return nil }
        // SAFETY: every read is below count, as the conditions before it say.
        guard unsafe base.load(as: UInt8.self) == 0x0A else { return nil }
        let keyCount = unsafe Int(base.load(fromByteOffset: 1, as: UInt8.self))
        let valueStart = keyCount &+ 2
        guard keyCount < 0x80, valueStart &+ 4 <= count,
            unsafe base.load(fromByteOffset: valueStart, as: UInt8.self) == 0x12
        else { return nil }
        let valueCount = unsafe Int(base.load(fromByteOffset: valueStart &+ 1, as: UInt8.self))
        guard valueCount < 0x80, valueStart &+ 2 &+ valueCount == count else { return nil }
        unsafe key = UnsafeRawBufferPointer(start: base + 2, count: keyCount)
        let content = valueStart &+ 4
        let tag = unsafe base.load(fromByteOffset: valueStart &+ 2, as: UInt8.self)
        let first = unsafe base.load(fromByteOffset: valueStart &+ 3, as: UInt8.self)
        if tag == 0x0A, content &+ Int(first) == count {
            unsafe value = UnsafeRawBufferPointer(start: base + content, count: Int(first))
            number = 0
            isText = true
            return
        }
        guard tag == 0x18, valueCount <= 11 else { return nil }
        var bits: UInt64 = 0
        var shift: UInt64 = 0
        var index = valueStart &+ 3
        while index < count {
            let byte = unsafe base.load(fromByteOffset: index, as: UInt8.self)
            bits |= UInt64(byte & 0x7F) &<< shift
            shift &+= 7
            index &+= 1
            if byte < 0x80 { break }
        }
        // Something after the number: not the plain form.
        guard index == count else { return nil }
        unsafe value = UnsafeRawBufferPointer(start: base, count: 0)
        number = Int64(bitPattern: bits)
        isText = false
    }
}

extension StaticString {
    /// The text's bytes.
    @inline(__always)
    var bytes: UnsafeRawBufferPointer {
        // SAFETY: a static string's bytes live for ever.
        unsafe UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}

extension WireBytes {
    /// Whether all bytes are zero.
    @inline(__always)
    var isZero: Bool {
        // SAFETY: every read is below count.
        let bytes = unsafe unsafeBytes
        var all: UInt64 = 0
        var index = 0
        while index &+ 8 <= count {
            unsafe all |= bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < count {
            unsafe all |= UInt64(bytes.load(fromByteOffset: index, as: UInt8.self))
            index &+= 1
        }
        return all == 0
    }
}

extension ByteDraft {
    /// Appends the time of an entry: a `google.protobuf.Timestamp`.
    @inline(__always)
    mutating func appendTime(_ unixNanoseconds: UInt64) {
        let (seconds, nanoseconds) = unixNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        append(0x0A)
        let length = count
        append(0)
        if seconds != 0 {
            append(0x08)
            appendVarint(seconds)
        }
        if nanoseconds != 0 {
            append(0x10)
            appendVarint(nanoseconds)
        }
        let size = UInt8(truncatingIfNeeded: count &- length &- 1)
        unsafe withUnsafeBytes(of: size) { unsafe overwrite(at: length, $0) }
    }
}
