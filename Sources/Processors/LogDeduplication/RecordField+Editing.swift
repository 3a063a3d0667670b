internal import OTLP
internal import Pipeline
internal import Statements

extension RecordField {
    /// The value; nil when there is none.
    func value(in record: MessageID, of request: RequestEditor) -> AttributeValue? {
        var keys = keys[...]
        var value: AttributeValue?
        if isInBody {
            value = AttributeValue(request.content(record, Field.LogRecord.body))
        } else if let first = keys.popFirst() {
            let key = OwnedBytes(first)
            value = withExtendedLifetime(key) {
                request.value(key.bytes, in: request.attributes(record, Field.LogRecord.attributes))
            }
        }
        for key in keys {
            guard case .keyValueList(let list)? = value else { return nil }
            value = list.value(of: key)
        }
        return value
    }

    /// Removes the field from a record.
    func remove(from record: MessageID, of request: RequestEditor) {
        var table = request.attributes(record, Field.LogRecord.attributes)
        var opened: [MessageID] = []
        if isInBody {
            guard case .keyValueList = AttributeValue(request.content(record, Field.LogRecord.body)) else {
                return
            }
            let body = request.child(record, Field.LogRecord.body)
            let list = request.child(body, Field.AnyValue.keyValueList)
            opened = [body, list]
            table = request.attributes(list, Field.List.values)
        }
        defer { for message in opened.reversed() { request.close(message) } }
        for (index, text) in keys.enumerated() {
            let key = OwnedBytes(text)
            let position = withExtendedLifetime(key) { request.find(key.bytes, in: table) }
            guard let position else { return }
            if index == keys.count - 1 { return request.removeAttribute(table, at: position) }
            guard case .keyValueList = request.value(table, at: position) else { return }
            let entry = request.child(table.message, at: position)
            let value = request.child(entry, Field.KeyValue.value)
            let list = request.child(value, Field.AnyValue.keyValueList)
            opened += [entry, value, list]
            table = request.attributes(list, Field.List.values)
        }
    }
}

extension WireBytes {
    /// The value of a key in a `KeyValueList`; of several the first counts.
    fileprivate func value(of key: String) -> AttributeValue? {
        let wanted = OwnedBytes(key)
        return withExtendedLifetime(wanted) {
            for field in fields where field.number == Field.List.values && field.isBytes {
                let attribute = Attribute(field.bytes)
                if attribute.key.isEqual(to: wanted.bytes) { return attribute.value }
            }
            return nil
        }
    }
}

/// A moment in whole seconds: `2026-11-29T04:40:00Z`, `2026-11-29T05:40:00+01:00`.
func rfc3339(_ unixNanoseconds: Int64, _ zone: TimeZone) -> String {
    let seconds = unixNanoseconds / 1_000_000_000 - (unixNanoseconds % 1_000_000_000 < 0 ? 1 : 0)
    let offset = zone.offset(at: seconds)
    let time = UTCTime(unixNanoseconds: unixNanoseconds &+ offset * 1_000_000_000)
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let year = String(repeating: "0", count: max(0, 4 - "\(time.year)".count)) + "\(time.year)"
    let minutes = Int(abs(offset)) / 60
    let suffix = offset == 0 ? "Z" : "\(offset < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
    return
        "\(year)-\(two(time.month))-\(two(time.day))T\(two(time.hour)):\(two(time.minute)):\(two(time.second))"
        + suffix
}
