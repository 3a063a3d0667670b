package import OTLP

/// Single values and lists of numbers of an open message.
extension RequestEditor {
    /// An `optional double`; nil when it is not there.
    package func double(_ message: MessageID, _ number: UInt32) -> Double? {
        has(message, number) ? Double(bitPattern: bits(message, number)) : nil
    }

    /// Sets an `optional double`; nil removes it.
    package func setDouble(_ message: MessageID, _ number: UInt32, _ value: Double?) {
        guard let value else { return remove(message, number) }
        setBits(message, number, .fixed64, value.bitPattern)
    }

    /// Sets a number whose default is 0, which is not written.
    package func setNumber(_ message: MessageID, _ number: UInt32, _ kind: WireKind, _ value: UInt64) {
        if value == 0 { return remove(message, number) }
        setBits(message, number, kind, value)
    }

    /// The numbers of a repeated field, packed or not.
    package func numbers(_ message: MessageID, _ number: UInt32, isFixed: Bool) -> [UInt64] {
        var numbers: [UInt64] = []
        for position in 0..<fieldCount(message) where self.number(message, at: position) == number {
            guard case .bytes = kind(message, at: position) else {
                numbers.append(bits(message, at: position))
                continue
            }
            let packed = content(message, at: position)
            if isFixed { Self.addFixed(packed, to: &numbers) } else { Self.addVarints(packed, to: &numbers) }
        }
        return numbers
    }

    /// Replaces a repeated field by a packed list; an empty one is not written.
    package func setNumbers(_ message: MessageID, _ number: UInt32, isFixed: Bool, _ numbers: [UInt64]) {
        remove(message, number)
        guard !numbers.isEmpty else { return }
        var packed: [UInt8] = []
        packed.reserveCapacity(numbers.count * (isFixed ? 8 : 2))
        for value in numbers {
            if isFixed {
                for shift in stride(from: UInt64(0), to: 64, by: 8) {
                    packed.append(UInt8(truncatingIfNeeded: value >> shift))
                }
            } else {
                var rest = value
                while rest >= 0x80 {
                    packed.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                    rest >>= 7
                }
                packed.append(UInt8(truncatingIfNeeded: rest))
            }
        }
        unsafe packed.withUnsafeBytes { bytes in
            // SAFETY: the editor copies the bytes during the call.
            unsafe append(message, number, WireBytes(bytes))
        }
    }

    private static func addFixed(_ packed: WireBytes, to numbers: inout [UInt64]) {
        numbers.reserveCapacity(numbers.count + packed.count / 8)
        for start in stride(from: 0, to: packed.count - packed.count % 8, by: 8) {
            var value: UInt64 = 0
            for index in 0..<8 { value |= UInt64(packed[start + index]) << UInt64(8 * index) }
            numbers.append(value)
        }
    }

    private static func addVarints(_ packed: WireBytes, to numbers: inout [UInt64]) {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for index in 0..<packed.count {
            value |= UInt64(packed[index] & 0x7F) << shift
            if packed[index] < 0x80 {
                numbers.append(value)
                value = 0
                shift = 0
            } else {
                shift += 7
            }
        }
    }
}
