internal import OTLP

/// A message of a request, open for change: its fields in wire order, each as it came or replaced.
///
/// Borrows the request's bytes, which live until it was written. What was not touched is copied as one run, unknown
/// fields included; children are opened when they are asked for. One thread.
final class Message {
    struct Entry {
        let number: UInt32
        let kind: WireKind
        var bits: UInt64
        /// Where tag, content and end lie in the source; all 0 for new fields.
        let start: Int
        let contentStart: Int
        let end: Int
        /// The new content; nil for content as it came.
        var content: [UInt8]?
        /// The content, opened.
        var child: Message?
        /// Whether `bits` is new.
        var isNew = false
    }

    private let source: WireBytes
    var entries: [Entry] = []
    /// Whether fields were added, removed or replaced; children know for themselves.
    private(set) var isChanged = false

    init(_ source: WireBytes) {
        self.source = source
        entries.reserveCapacity(12)
        for field in source.fields {
            entries.append(
                Entry(
                    number: field.number, kind: field.kind, bits: field.bits, start: field.start,
                    contentStart: field.contentStart, end: field.end))
        }
    }

    /// A new one.
    convenience init() {
        self.init(.none)
        isChanged = true
    }

    var hasChanges: Bool {
        isChanged || entries.contains { $0.child?.hasChanges == true }
    }

    /// Says that `entries` was edited directly.
    func touch() { isChanged = true }

    // MARK: - Reading

    private func index(_ number: UInt32) -> Int? { entries.lastIndex { $0.number == number } }

    func has(_ number: UInt32) -> Bool { entries.contains { $0.number == number } }

    /// The bits of a number field; 0 when there is none.
    func bits(_ number: UInt32) -> UInt64 { index(number).map { entries[$0].bits } ?? 0 }

    /// The content of a length-delimited field. Borrowed from the request, or owned when it is new.
    func content(_ number: UInt32) -> Bytes? { index(number).map { content(at: $0) } }

    func content(at index: Int) -> Bytes {
        let entry = entries[index]
        if let child = entry.child, child.hasChanges { return .owned(child.bytes) }
        if let content = entry.content { return .owned(content) }
        guard entry.kind == .bytes else { return .owned([]) }
        // SAFETY: offsets come from the walk over the same bytes.
        return .borrowed(
            unsafe WireBytes(
                UnsafeRawBufferPointer(rebasing: source.unsafeBytes[entry.contentStart..<entry.end])))
    }

    /// Opens the child at an index. A new content is copied, so that the child has bytes to borrow.
    func child(at index: Int) -> Message {
        if let child = entries[index].child { return child }
        let child: Message
        switch content(at: index) {
        case .borrowed(let bytes): child = Message(bytes)
        case .owned(let bytes): child = Message(owning: bytes)
        }
        entries[index].child = child
        return child
    }

    /// The last child of a number, made when there is none and `creates`.
    func child(_ number: UInt32, creates: Bool = false) -> Message? {
        if let index = index(number) { return child(at: index) }
        guard creates else { return nil }
        let child = Message()
        append(number, child)
        return child
    }

    /// All children of a number, opened.
    func children(_ number: UInt32) -> [Message] {
        entries.indices.filter { entries[$0].number == number }.map { child(at: $0) }
    }

    func count(_ number: UInt32) -> Int { entries.count { $0.number == number } }

    /// Owns its bytes: fields become new ones.
    private convenience init(owning bytes: [UInt8]) {
        self.init()
        unsafe bytes.withUnsafeBytes { buffer in
            // SAFETY: what is borrowed is copied before the call ends.
            for field in unsafe WireBytes(buffer).fields {
                entries.append(
                    Entry(
                        number: field.number, kind: field.kind, bits: field.bits, start: 0, contentStart: 0,
                        end: 0,
                        content: field.isBytes ? field.bytes.array : nil, isNew: true))
            }
        }
    }

    // MARK: - Changing

    func setBits(_ number: UInt32, _ kind: WireKind, _ bits: UInt64) {
        isChanged = true
        if let index = index(number), entries[index].kind == kind {
            entries[index].bits = bits
            entries[index].isNew = true
            return
        }
        remove(number)
        entries.append(
            Entry(number: number, kind: kind, bits: bits, start: 0, contentStart: 0, end: 0, isNew: true))
    }

    func setContent(_ number: UInt32, _ content: [UInt8]) {
        isChanged = true
        if let index = index(number), entries[index].kind == .bytes { return setContent(at: index, content) }
        append(number, content)
    }

    func setContent(at index: Int, _ content: [UInt8]) {
        isChanged = true
        entries[index].content = content
        entries[index].child = nil
    }

    func append(_ number: UInt32, _ content: [UInt8]) {
        isChanged = true
        entries.append(
            Entry(number: number, kind: .bytes, bits: 0, start: 0, contentStart: 0, end: 0, content: content))
    }

    func append(_ number: UInt32, _ child: Message) {
        isChanged = true
        entries.append(
            Entry(
                number: number, kind: .bytes, bits: 0, start: 0, contentStart: 0, end: 0, content: [],
                child: child))
    }

    func remove(_ number: UInt32) { remove { $0.number == number } }

    func remove(where isRemoved: (Entry) -> Bool) {
        let before = entries.count
        entries.removeAll(where: isRemoved)
        if entries.count < before { isChanged = true }
    }

    // MARK: - Writing

    var bytes: [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(source.count + 64)
        write(to: &output)
        return output
    }

    func write(to output: inout [UInt8]) {
        guard hasChanges else {
            // SAFETY: borrowed for the call.
            unsafe output.append(contentsOf: source.unsafeBytes)
            return
        }
        for index in entries.indices {
            let entry = entries[index]
            if let child = entry.child, child.hasChanges {
                output.appendField(UInt64(entry.number), .owned(child.bytes))
            } else if let content = entry.content {
                output.appendField(UInt64(entry.number), .owned(content))
            } else if entry.isNew || entry.end == 0 {
                append(number: entry, to: &output)
            } else {
                // SAFETY: offsets come from the walk over the same bytes.
                unsafe output.append(contentsOf: source.unsafeBytes[entry.start..<entry.end])
            }
        }
    }

    private func append(number entry: Entry, to output: inout [UInt8]) {
        let tag = UInt64(entry.number) << 3
        switch entry.kind {
        case .varint:
            output.appendVarint(tag)
            output.appendVarint(entry.bits)
        case .fixed64:
            output.appendVarint(tag | 1)
            output.appendFixed64(entry.bits)
        case .fixed32:
            output.appendVarint(tag | 5)
            for shift in stride(from: UInt64(0), to: 32, by: 8) {
                output.append(UInt8(truncatingIfNeeded: entry.bits >> shift))
            }
        case .bytes: output.appendField(UInt64(entry.number), .owned(entry.content ?? []))
        }
    }
}
