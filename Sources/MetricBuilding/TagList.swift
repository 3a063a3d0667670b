internal import OTLP

/// The value of a tag: an attribute in formats older than OTLP.
package enum TagValue: Sendable, Equatable {
    case text([UInt8])
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case bytes([UInt8])

    /// Of a text.
    package var text: [UInt8]? {
        if case .text(let text) = self { text } else { nil }
    }
}

/// Tags by their keys, in the order in which they came. The last value of a key counts. One thread.
package struct TagList: Sendable {
    private var keys: [[UInt8]] = []
    /// nil: taken out.
    private var values: [TagValue?] = []
    /// Where keys are, once there are so many that looking through them all takes long.
    private var places: [[UInt8]: Int] = [:]

    private static let lookedThroughMax = 16

    package init() {}

    package var isEmpty: Bool { values.allSatisfy { $0 == nil } }

    private func place(_ key: some Collection<UInt8>) -> Int? {
        if keys.count > Self.lookedThroughMax { return places[Array(key)] }
        return keys.firstIndex { $0.elementsEqual(key) }
    }

    package subscript(_ key: String) -> TagValue? { place(key.utf8).flatMap { values[$0] } }

    package mutating func put(_ key: [UInt8], _ value: TagValue) {
        if let place = place(key) {
            values[place] = value
            return
        }
        keys.append(key)
        values.append(value)
        if keys.count == Self.lookedThroughMax + 1 {
            for (place, key) in keys.enumerated() { places[key] = place }
        } else if keys.count > Self.lookedThroughMax {
            places[key] = keys.count - 1
        }
    }

    package mutating func put(_ key: String, _ value: TagValue) { put(Array(key.utf8), value) }

    /// Takes a tag out.
    @discardableResult
    package mutating func take(_ key: String) -> TagValue? {
        guard let place = place(key.utf8) else { return nil }
        defer { values[place] = nil }
        return values[place]
    }

    package func each(_ body: (_ key: [UInt8], _ value: TagValue) -> Void) {
        for (key, value) in zip(keys, values) {
            if let value { body(key, value) }
        }
    }

    /// As attributes of OTLP.
    package var attributes: AttributeList {
        var list = AttributeList()
        each { list.add($0, tag: $1) }
        return list
    }
}

extension AttributeList {
    package mutating func add(_ key: [UInt8], tag value: TagValue) {
        switch value {
        case .text(let text): add(key, text)
        case .bool(let flag): add(key, .bool(flag))
        case .int(let number): add(key, .int(number))
        case .double(let number): add(key, .double(number))
        case .bytes(let bytes):
            unsafe bytes.withUnsafeBytes { unsafe add(key, .bytes(WireBytes($0))) }
        }
    }
}
