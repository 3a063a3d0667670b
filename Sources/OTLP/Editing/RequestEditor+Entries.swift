internal import COTLP

/// A field of a row. The C functions read fields of the source into its memory, which is small, because a row is made for each item
/// that is changed.
extension cotlp_field {
    /// `made`: in the source.
    static var asItCame: Int32 { -1 }
    /// `made`: new, and nothing.
    static var empty: Int32 { -2 }
    /// `made`: reads as absent until its child is changed.
    static var virtual: Int32 { -3 }

    /// One that is new.
    @inline(__always)
    init(number: UInt32, keyCount: UInt8 = KeyValueParts.unusual, kind: WireKind, made: Int32) {
        self.init(
            number: number, key_count: keyCount, wire_type: kind.wireType, head_count: 0, reserved: 0,
            start: 0,
            end: 0, child: -1, made: made)
    }

    @inline(__always)
    var kind: WireKind {
        get { WireKind(wireType: wire_type) }
        set { wire_type = newValue.wireType }
    }

    @inline(__always)
    var isNew: Bool { made != Self.asItCame }
    @inline(__always)
    var isVirtual: Bool { made == Self.virtual }
    /// As it came, and not opened.
    @inline(__always)
    var isUntouched: Bool { made & child == -1 }
}

extension WireKind {
    @inline(__always)
    fileprivate init(wireType: UInt8) {
        self =
            switch wireType {
            case 0: .varint
            case 1: .fixed64
            case 5: .fixed32
            default: .bytes
            }
    }

    @inline(__always)
    fileprivate var wireType: UInt8 {
        switch self {
        case .varint: 0
        case .fixed64: 1
        case .bytes: 2
        case .fixed32: 5
        }
    }
}

extension RequestEditor {
    /// A field of a row: 0 is the number of a removed one; `child` the opened message, or -1; `made` what it is instead of what is
    /// in the source: an index, `asItCame`, `empty` or `virtual`.
    typealias Entry = cotlp_field

    /// What a new field is: content or bits, as its kind says.
    struct Made: BitwiseCopyable {
        var content = WireBytes.none
        var bits: UInt64 = 0
    }

    /// Says what a field is from now on; an attribute's key is the caller's to tell.
    func make(_ index: Int, _ message: Int32, _ new: Made) {
        guard entries[index].made < 0 else {
            made[Int(entries[index].made)] = new
            return
        }
        entries[index].made = append(new, to: message)
    }

    /// Keeps what a new field is, for its entry in a message.
    func append(_ new: Made, to message: Int32) -> Int32 {
        let bytes = made.bytes
        made.append(new)
        if made.bytes != bytes { holdLists() }
        if message &+ 1 != messages.count { pinMade() }
        return Int32(truncatingIfNeeded: made.count - 1)
    }

    /// The content of a length-delimited field; nothing for others. Of one whose message was changed: as it was before.
    @inline(__always)
    func content(of entry: Entry, in message: MessageID) -> WireBytes {
        if entry.made >= 0 { return made[Int(entry.made)].content }
        guard entry.wire_type == 2, entry.made == Entry.asItCame else { return .none }
        return messages[Int(message.index)].source.part(
            Int(entry.start) &+ Int(entry.head_count)..<Int(entry.end))
    }

    /// The bits of a varint or fixed field; 0 for others.
    @inline(__always)
    func bits(of entry: Entry, in message: MessageID) -> UInt64 {
        if entry.made >= 0 { return made[Int(entry.made)].bits }
        var fields = messages[Int(message.index)].source.fields(Int(entry.start)..<Int(entry.end))
        return fields.next()?.bits ?? 0
    }

    /// Bytes that a new field has at most beside its content.
    @inline(__always)
    var newFieldCountMax: Int { 15 }

    /// Bytes that a field adds at most.
    @inline(__always)
    func newCountMax(_ entry: Entry) -> Int {
        guard entry.number != 0, entry.isNew else { return 0 }
        return newFieldCountMax &+ (entry.made >= 0 ? made[Int(entry.made)].content.count : 0)
    }

    /// Bytes of a new field.
    @inline(__always)
    func newCount(_ entry: Entry) -> Int {
        let new = entry.made >= 0 ? made[Int(entry.made)] : Made()
        if case .bytes = entry.kind { return FieldWriter.count(entry.number, content: new.content.count) }
        return FieldWriter.count(entry.number, entry.kind, new.bits)
    }

    /// Writes a new field.
    @inline(__always)
    func write(new entry: Entry, to writer: inout FieldWriter) {
        let new = entry.made >= 0 ? made[Int(entry.made)] : Made()
        guard case .bytes = entry.kind else { return writer.number(entry.number, entry.kind, new.bits) }
        writer.begin(entry.number, content: new.content.count)
        writer.copy(new.content, 0..<new.content.count)
    }
}
