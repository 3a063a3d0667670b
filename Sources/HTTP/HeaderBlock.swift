/// The fields of one header section, in order, as bytes.
///
/// One flat store, reused from message to message: adding a field allocates nothing once the store has grown. Names are
/// lower case, as HTTP/2 demands (RFC 9113 §8.2.1); an HTTP/1.1 reader lowers them. Confined to its session.
///
/// ```
/// store   :method POST :path /v1/traces …
/// fields  ^name ^value ^end, one after the other
/// ```
@safe
package final class HeaderBlock {
    private struct Field {
        var name: UInt32
        var value: UInt32
        var end: UInt32
    }

    // Owned; made with the first field, both grow by doubling. `used` and `count` say how much of them is written.
    private var store: UnsafeMutablePointer<UInt8>
    private var storeCapacity = 0
    private var used = 0
    private var fields: UnsafeMutablePointer<Field>
    private var fieldCapacity = 0
    /// More room than this is not kept between two sections.
    package static let keptBytesMax = 4096
    private var fieldCount = 0
    /// How many fields there are. Computed: access to a stored property that other modules see is checked at run time.
    package private(set) var count: Int {
        get { fieldCount }
        set { fieldCount = newValue }
    }

    /// An empty block.
    package init() {
        unsafe store = .allocate(capacity: storeCapacity)
        unsafe fields = .allocate(capacity: fieldCapacity)
    }

    deinit {
        unsafe store.deallocate()
        unsafe fields.deallocate()
    }

    /// Names and values together, in bytes.
    package var byteCount: Int { used }

    /// Gives back room that is larger, and forgets its fields: by default what only a large section needs.
    package func giveBack(keepingBytes kept: Int = keptBytesMax) {
        guard storeCapacity > kept || fieldCapacity * 12 > kept else { return }
        removeAll()
        storeCapacity = 0
        fieldCapacity = 0
        unsafe store.deallocate()
        unsafe fields.deallocate()
        unsafe store = .allocate(capacity: 0)
        unsafe fields = .allocate(capacity: 0)
    }

    /// Forgets the fields and keeps the room.
    package func removeAll() {
        used = 0
        count = 0
    }

    /// Appends a field. The bytes are copied.
    package func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        reserve(name.count + value.count)
        // SAFETY: `reserve` has made room for both and for one more field.
        unsafe fields[count] = Field(
            name: UInt32(used), value: UInt32(used + name.count),
            end: UInt32(used + name.count + value.count))
        if let start = name.baseAddress {
            unsafe UnsafeMutableRawPointer(store + used).copyMemory(from: start, byteCount: name.count)
        }
        if let start = value.baseAddress {
            unsafe UnsafeMutableRawPointer(store + used + name.count).copyMemory(
                from: start, byteCount: value.count)
        }
        used += name.count + value.count
        count += 1
    }

    /// Appends a field whose name is known. The bytes are copied.
    func append(name: StaticString, value: UnsafeRawBufferPointer) {
        unsafe append(
            name: UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value: value)
    }

    /// Appends a field of an HTTP/1.1 message; the name is lowered. The bytes are copied.
    func append(loweredName name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let start = used
        unsafe append(name: name, value: value)
        // SAFETY: `append` has just written the name there.
        for index in start..<start + name.count {
            let byte = unsafe store[index]
            unsafe store[index] = byte | (byte &- 0x41 < 26 ? 0x20 : 0)
        }
    }

    /// Whether the name of the field that was appended last is this.
    func lastName(is name: StaticString) -> Bool {
        guard count > 0 else { return false }
        // SAFETY: as in `find`.
        let field = unsafe fields[count - 1]
        return unsafe Self.equal(
            UnsafeBufferPointer(start: store + Int(field.name), count: Int(field.value - field.name)),
            UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    private func reserve(_ bytes: Int) {
        if used + bytes > storeCapacity {
            while used + bytes > storeCapacity { storeCapacity = max(512, storeCapacity * 2) }
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: storeCapacity)
            unsafe larger.update(from: store, count: used)
            unsafe store.deallocate()
            unsafe store = larger
        }
        if count == fieldCapacity {
            fieldCapacity = max(16, fieldCapacity * 2)
            let larger = UnsafeMutablePointer<Field>.allocate(capacity: fieldCapacity)
            unsafe larger.update(from: fields, count: count)
            unsafe fields.deallocate()
            unsafe fields = larger
        }
    }

    /// The value of the first field of that name.
    private func find(_ name: StaticString) -> UnsafeBufferPointer<UInt8>? {
        unsafe find(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    private func find(_ wanted: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8>? {
        for index in 0..<count {
            // SAFETY: index is below `count`; a field's range is inside what was written of the store.
            let field = unsafe fields[index]
            guard Int(field.value - field.name) == wanted.count else { continue }
            let found = unsafe UnsafeBufferPointer(start: store + Int(field.name), count: wanted.count)
            if unsafe Self.equal(found, wanted) {
                return unsafe UnsafeBufferPointer(
                    start: store + Int(field.value), count: Int(field.end - field.value))
            }
        }
        return nil
    }

    private static func equal(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> Bool {
        guard a.count == b.count else { return false }
        // SAFETY: both are as long as `count`. From the end on: names and paths differ there.
        var index = a.count
        while index > 0 {
            index &-= 1
            if unsafe a[index] != b[index] { return false }
        }
        return true
    }

    /// The value of the first field of that name as text; allocates.
    package subscript(_ name: StaticString) -> String? {
        unsafe find(name).map { unsafe String(decoding: $0, as: UTF8.self) }
    }

    /// The value of the first field of a name, which is in small letters, as text; allocates.
    package func text(of name: String) -> String? {
        var name = name
        return name.withUTF8 { wanted in
            unsafe find(wanted).map { unsafe String(decoding: $0, as: UTF8.self) }
        }
    }

    /// Whether the first field of that name has exactly this value; nil when there is none. Allocates nothing.
    package func field(_ name: StaticString, is value: StaticString) -> Bool? {
        guard let found = unsafe find(name) else { return nil }
        return unsafe Self.equal(
            found, UnsafeBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
    }

    /// Whether the first field of that name starts with these bytes; nil when there is none. Allocates nothing.
    package func field(_ name: StaticString, hasPrefix prefix: StaticString) -> Bool? {
        guard let found = unsafe find(name) else { return nil }
        guard found.count >= prefix.utf8CodeUnitCount else { return false }
        let start = unsafe UnsafeBufferPointer(rebasing: found.prefix(prefix.utf8CodeUnitCount))
        return unsafe Self.equal(
            start, UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
    }

    /// Whether the first field of that name equals `bytes`. Allocates nothing.
    package func field(_ name: StaticString, equals bytes: [UInt8]) -> Bool {
        guard let found = unsafe find(name) else { return false }
        return unsafe bytes.withUnsafeBufferPointer { unsafe Self.equal(found, $0) }
    }

    /// All fields as text; allocates.
    package var all: [(name: String, value: String)] {
        (0..<count).map { index in
            // SAFETY: as in `find`.
            let field = unsafe fields[index]
            let name = unsafe UnsafeBufferPointer(
                start: store + Int(field.name), count: Int(field.value - field.name))
            let value = unsafe UnsafeBufferPointer(
                start: store + Int(field.value), count: Int(field.end - field.value))
            return unsafe (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        }
    }
}
