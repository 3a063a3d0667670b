extension AttributeValue {
    /// Whether both are the same: of one type, with one value; maps whatever the order of their keys. Values deeper than 64,
    /// deeper than a receiver lets in, are not.
    public func isSame(as other: AttributeValue, depth: Int = 0) -> Bool {
        switch (self, other) {
        case (.empty, .empty): true
        case (.string(let one), .string(let two)), (.bytes(let one), .bytes(let two)): one.isEqual(to: two)
        case (.bool(let one), .bool(let two)): one == two
        case (.int(let one), .int(let two)): one == two
        case (.double(let one), .double(let two)): one == two
        case (.array(let one), .array(let two)):
            depth < 64 && Self.isSame(list: one, two, depth)
        case (.keyValueList(let one), .keyValueList(let two)):
            one.isEqual(to: two) || depth < 64 && Self.isSame(map: one, two, depth)
        default: false
        }
    }

    private static func isSame(list one: WireBytes, _ two: WireBytes, _ depth: Int) -> Bool {
        var left = one.fields
        var right = two.fields
        while true {
            switch (next(&left), next(&right)) {
            case (nil, nil): return true
            case (let a?, let b?):
                guard AttributeValue(a).isSame(as: AttributeValue(b), depth: depth + 1) else { return false }
            default: return false
            }
        }
    }

    private static func isSame(map one: WireBytes, _ two: WireBytes, _ depth: Int) -> Bool {
        var left = one.fields
        var count = 0
        while let entry = next(&left) {
            count += 1
            let attribute = Attribute(entry)
            var right = two.fields
            var found: AttributeValue?
            while found == nil, let other = next(&right) {
                let other = Attribute(other)
                if other.key.isEqual(to: attribute.key) { found = other.value }
            }
            guard let found, attribute.value.isSame(as: found, depth: depth + 1) else { return false }
        }
        var right = two.fields
        while next(&right) != nil { count -= 1 }
        return count == 0
    }

    private static func next(_ fields: inout WireFields) -> WireBytes? {
        while let field = fields.next() {
            if field.number == Field.List.values, field.isBytes { return field.bytes }
        }
        return nil
    }
}
