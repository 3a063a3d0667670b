internal import Glibc
internal import OTLP

/// Attribute keys seen before, with their names in metadata as they are written, and what becomes of them.
///
/// A fixed table with a slot for each hash: a key that finds its slot taken takes it over. So any keys at all cost
/// bounded memory and bounded time. One thread at a time.
///
///     slot: key length (0: empty) · what · length of the field · key … · the field `name`: 0A, length, name … · stamp
@safe
struct KeyCache: ~Copyable {
    /// What the quick way does with an attribute.
    enum Action: UInt8 {
        case metadata = 1
        case drop = 2
        /// It is a hint or makes a label: not for the quick way.
        case other = 3
    }

    /// Longer keys are not kept.
    static let keyBytesMax = 88
    private static let slotsBits: UInt64 = 9
    private static let keyStart = 3
    private static let fieldStart = keyStart + keyBytesMax
    /// Field header of 2 and `key_` of 4 bytes, or of 4 and what spells 8 characters.
    private static let fieldBytesMax = 101
    /// The number of the last record with this key.
    private static let stampStart = fieldStart + fieldBytesMax
    private static let stride = 200

    // SAFETY: all slots, zeroed when made, owned.
    private let base: UnsafeMutablePointer<UInt8>
    private let rules: AttributeRules
    private var scratch = ByteDraft(capacity: 128)
    /// The number of the record whose keys are asked for.
    private var record: UInt64 = 1

    /// A record begins: each of its keys may be asked for once.
    @inline(__always)
    mutating func beginRecord() { record &+= 1 }

    init(_ rules: AttributeRules) {
        self.rules = rules
        let bytes = Self.stride << Int(Self.slotsBits)
        guard let memory = unsafe calloc(1, bytes) else { fatalError("Out of memory for the keys.") }
        unsafe base = memory.bindMemory(to: UInt8.self, capacity: bytes)
    }

    deinit { unsafe free(base) }

    /// The action for a key and the field with its name, valid until the next call; nil for a key that is not kept, and for
    /// one that the record has had.
    @inline(__always)
    mutating func find(_ key: UnsafeRawBufferPointer) -> (action: Action, field: UnsafeRawBufferPointer)? {
        guard key.count > 0, key.count <= Self.keyBytesMax, let start = key.baseAddress else { return nil }
        let index = unsafe Int(truncatingIfNeeded: Self.hash(start, key.count) >> (64 - Self.slotsBits))
        // SAFETY: the index has slotsBits bits; lengths in a slot were written by `fill`.
        let slot = unsafe base + index &* Self.stride
        if unsafe Int(slot[0]) != key.count || memcmp(slot + Self.keyStart, start, key.count) != 0 {
            unsafe fill(slot, key)
        }
        // SAFETY: a slot is 8-aligned and has room for the stamp.
        let stamp = unsafe UnsafeMutableRawPointer(slot + Self.stampStart)
        if unsafe stamp.load(as: UInt64.self) == record { return nil }
        unsafe stamp.storeBytes(of: record, as: UInt64.self)
        let field = unsafe UnsafeRawBufferPointer(start: slot + Self.fieldStart, count: Int(slot[2]))
        let action = unsafe Action(rawValue: slot[1]) ?? .other
        return unsafe (action, field)
    }

    @inline(never)
    private mutating func fill(_ slot: UnsafeMutablePointer<UInt8>, _ key: UnsafeRawBufferPointer) {
        scratch.truncate(to: 0)
        unsafe scratch.appendName(key)
        let name = scratch.count
        precondition(name < 0x80 && 2 + name <= Self.fieldBytesMax, "a name outgrew its slot")
        let text = unsafe String(decoding: key, as: UTF8.self)
        let action: Action
        if Hints.isHint(text) {
            action = .other
        } else {
            switch rules.action(for: text) {
            case .structuredMetadata: action = .metadata
            case .drop: action = .drop
            case .indexLabel: action = .other
            }
        }
        // SAFETY: the sizes were checked; a slot holds the longest key and its field.
        unsafe slot[0] = UInt8(key.count)
        unsafe UnsafeMutableRawPointer(slot + Self.stampStart).storeBytes(of: 0, as: UInt64.self)
        unsafe slot[1] = action.rawValue
        unsafe slot[2] = UInt8(2 + name)
        for index in 0..<key.count { unsafe slot[Self.keyStart + index] = key[index] }
        unsafe slot[Self.fieldStart] = 0x0A
        unsafe slot[Self.fieldStart + 1] = UInt8(name)
        for index in 0..<name {
            unsafe slot[Self.fieldStart + 2 + index] = scratch.unsafeBytes[index]
        }
    }

    /// Of the first, middle and last bytes and the length: enough to tell a program's keys apart.
    @inline(__always)
    private static func hash(_ key: UnsafeRawPointer, _ count: Int) -> UInt64 {
        var bits: UInt64
        // SAFETY: each read lies within the `count` bytes.
        if count >= 8 {
            let first = unsafe key.loadUnaligned(as: UInt64.self)
            let last = unsafe key.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            bits = first ^ (last &* 0x9E37_79B9_7F4A_7C15)
            if count > 16 {
                let middle = unsafe key.loadUnaligned(fromByteOffset: count / 2 &- 4, as: UInt64.self)
                bits ^= middle &* 0xC2B2_AE3D_27D4_EB4F
            }
        } else if count >= 4 {
            let first = unsafe UInt64(key.loadUnaligned(as: UInt32.self))
            let last = unsafe UInt64(key.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
            bits = first | last << 32
        } else {
            let first = unsafe UInt64(key.load(as: UInt8.self))
            let middle = unsafe UInt64(key.load(fromByteOffset: count / 2, as: UInt8.self))
            let last = unsafe UInt64(key.load(fromByteOffset: count &- 1, as: UInt8.self))
            bits = first | middle << 8 | last << 16
        }
        bits = (bits ^ UInt64(truncatingIfNeeded: count)) &* 0xD6E8_FEB8_6659_FD93
        return (bits ^ bits >> 32) &* 0xD6E8_FEB8_6659_FD93
    }
}
