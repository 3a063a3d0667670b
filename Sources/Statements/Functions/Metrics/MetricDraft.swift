internal import OTLP

/// A metric that a function makes, with points that are written already.
struct MetricDraft {
    var name: [UInt8]
    var description: Bytes
    var unit: Bytes
    let type: MetricType
    var temporality: UInt64 = 0
    var isMonotonic = false
    /// The fields of `dataPoints`.
    private(set) var points: [UInt8] = []

    /// Name, description and unit of the metric shown last, the name with a suffix.
    init(from frame: Frame, suffix: String, _ type: MetricType) {
        name = frame.editor.content(frame.item, Field.Metric.name).array + Array(suffix.utf8)
        description = .borrowed(frame.editor.content(frame.item, Field.Metric.description))
        unit = .borrowed(frame.editor.content(frame.item, Field.Metric.unit))
        self.type = type
    }

    /// Adds a number point with the times and attributes of another point.
    mutating func addNumber(
        _ value: Value, like point: WireBytes, attributes: UInt32, adding: MapEntry? = nil
    ) {
        var content: [UInt8] = []
        content.appendNumberPointHead(point, attributes: attributes)
        if let adding { content.appendField(UInt64(Field.NumberPoint.attributes), .owned(adding.keyValue)) }
        content.appendPointValue(value)
        add(point: content)
    }

    mutating func add(point: [UInt8]) {
        points.appendField(UInt64(Field.MetricData.dataPoints), .owned(point))
    }

    var bytes: [UInt8] {
        var data = points
        if temporality != 0 {
            data.appendVarint(UInt64(Field.MetricData.temporality) << 3)
            data.appendVarint(temporality)
        }
        if isMonotonic { data += [UInt8(Field.MetricData.isMonotonic) << 3, 1] }
        var metric: [UInt8] = []
        metric.appendField(UInt64(Field.Metric.name), .owned(name))
        metric.appendField(UInt64(Field.Metric.description), description)
        metric.appendField(UInt64(Field.Metric.unit), unit)
        metric.appendField(UInt64(type.rawValue), .owned(data))
        return metric
    }
}

extension Frame {
    /// Adds a metric behind the others of the scope; later it is shown to the statements, too.
    func append(metric: [UInt8]) throws(EvaluationError) {
        try addItems(1, bytes: metric.count)
        editor.append(scopeGroup, Field.ScopeEntry.entries, .owned(metric))
    }

    /// The points of the metric shown last.
    var points: [WireBytes] {
        guard let data = metricData else { return [] }
        return editor.contents(data, Field.MetricData.dataPoints).map { bytes in
            guard case .borrowed(let content) = bytes else { preconditionFailure("contents are borrowed") }
            return content
        }
    }

    /// The temporality of the metric shown last; summaries are cumulative.
    var temporality: UInt64 {
        guard let type = metricType, let data = metricData else { return 0 }
        return type.hasTemporality ? editor.bits(data, Field.MetricData.temporality) : 2
    }

    /// Replaces the data of the metric shown last.
    func replaceData(by type: MetricType, _ content: [UInt8]) {
        for kind in [MetricType.gauge, .sum, .histogram, .exponentialHistogram, .summary] {
            editor.remove(item, kind.rawValue)
        }
        editor.append(item, type.rawValue, .owned(content))
    }

    /// Replaces the points of the metric shown last.
    func replacePoints(_ points: [[UInt8]]) {
        guard let data = metricData else { return }
        editor.remove(data, Field.MetricData.dataPoints)
        for point in points { editor.append(data, Field.MetricData.dataPoints, .owned(point)) }
    }
}

extension WireBytes {
    /// The last field of a number.
    func field(_ number: UInt32) -> WireField? {
        var found: WireField?
        for field in fields where field.number == number { found = field }
        return found
    }

    func bits(_ number: UInt32) -> UInt64 { field(number)?.bits ?? 0 }
    func double(_ number: UInt32) -> Double { field(number)?.double ?? 0 }
    func content(_ number: UInt32) -> [UInt8] { field(number)?.bytes.array ?? [] }

    /// The numbers of 8 bytes in a packed field, or in its single fields.
    func words(_ number: UInt32) -> [UInt64] {
        var words: [UInt64] = []
        for field in fields where field.number == number {
            if field.isBytes { words += field.bytes.array.words } else { words.append(field.bits) }
        }
        return words
    }

    /// The varints in a packed field, or in its single fields.
    func varints(_ number: UInt32) -> [UInt64] {
        var numbers: [UInt64] = []
        for field in fields where field.number == number {
            if field.isBytes { numbers += field.bytes.array.varints } else { numbers.append(field.bits) }
        }
        return numbers
    }
}

extension [UInt8] {
    mutating func appendFixed64(_ number: UInt32, _ bits: UInt64) {
        appendVarint(UInt64(number) << 3 | 1)
        appendFixed64(bits)
    }

    mutating func appendWords(_ number: UInt32, _ words: [UInt64]) {
        var content: [UInt8] = []
        for word in words { content.appendFixed64(word) }
        if !content.isEmpty { appendField(UInt64(number), .owned(content)) }
    }

    /// Times, flags and attributes of a point of any type as a number point has them.
    mutating func appendNumberPointHead(_ point: WireBytes, attributes: UInt32) {
        for field in point.fields where field.number == attributes {
            appendField(UInt64(Field.NumberPoint.attributes), .borrowed(field.bytes))
        }
        appendFixed64(Field.NumberPoint.startTime, point.bits(2))
        appendFixed64(Field.NumberPoint.time, point.bits(3))
    }

    mutating func appendPointValue(_ value: Value) {
        switch value {
        case .int(let value): appendFixed64(Field.NumberPoint.asInt, UInt64(bitPattern: value))
        case .double(let value): appendFixed64(Field.NumberPoint.asDouble, value.bitPattern)
        default: preconditionFailure("a point has a number")
        }
    }

    /// The fields of a message but some.
    mutating func appendFields(of message: WireBytes, except numbers: Set<UInt32>) {
        for field in message.fields where !numbers.contains(field.number) {
            // SAFETY: the field lies in the message.
            unsafe append(contentsOf: message.unsafeBytes[field.start..<field.end])
        }
    }
}
