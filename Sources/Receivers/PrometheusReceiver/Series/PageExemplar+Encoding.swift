extension PageExemplar {
    /// Appends the exemplar as a field of a data point. `trace_id` and `span_id` in hexadecimal become its ids.
    func encode(_ number: UInt32, into bytes: inout [UInt8]) {
        var message = WireBuffer()
        message.fixed64(2, UInt64(bitPattern: timestamp ?? 0))
        message.double(3, value)
        for label in labels {
            if label.name == "trace_id", let id = Self.id(label.value, bytes: 16) {
                message.field(5, id)
            } else if label.name == "span_id", let id = Self.id(label.value, bytes: 8) {
                message.field(4, id)
            } else {
                message.attribute(7, label.name, label.value)
            }
        }
        var field = WireBuffer()
        field.field(number, message.bytes)
        bytes += field.bytes
    }

    /// Reads an id of so many bytes in hexadecimal digits.
    private static func id(_ text: String, bytes count: Int) -> [UInt8]? {
        guard text.utf8.count == count * 2 else { return nil }
        var id: [UInt8] = []
        var high: UInt8?
        for byte in text.utf8 {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init) else {
                return nil
            }
            if let first = high {
                id.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return id
    }
}
