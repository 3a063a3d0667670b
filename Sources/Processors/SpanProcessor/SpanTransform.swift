internal import ItemMatching
package import OTLP
package import Pipeline
internal import RegularExpression

/// `span`: names spans by their attributes, makes attributes of names, sets the status.
package final class SpanTransform: RequestTransform {
    /// A rule of `to_attributes`.
    private struct Rule: Sendable {
        let pattern: RegularExpression
        /// The name of each group, empty for one without.
        let groups: [OwnedBytes]

        init(_ text: String) throws(MatchError) {
            pattern = try RegularExpression.goPattern(text)
            var names = Array(repeating: OwnedBytes(""), count: pattern.groupCount)
            for (name, group) in pattern.groupNames { names[group - 1] = OwnedBytes(name) }
            groups = names
        }
    }

    private let keys: [OwnedBytes]
    private let separator: [UInt8]
    private let rules: [Rule]
    private let breaksAfterMatch: Bool
    private let keepsName: Bool
    private let status: (code: UInt64, description: OwnedBytes)?
    private let selection: ItemSelection

    /// - Throws: why the configuration is not valid.
    package init(_ config: SpanConfig) throws {
        keys = config.fromAttributes.map { OwnedBytes($0) }
        separator = Array(config.separator.utf8)
        rules = try (config.toAttributes?.rules ?? []).map { try Rule($0) }
        breaksAfterMatch = config.toAttributes?.breaksAfterMatch ?? false
        keepsName = config.toAttributes?.keepsName ?? false
        status = config.status.map { ($0.code.number, OwnedBytes($0.description)) }
        selection = try ItemSelection(config.selection, .traces)
    }

    package var changesItems: Bool { false }

    package func apply(to request: RequestEditor, _ context: EditContext) {
        selection.forEachItem(of: request) { place in
            if !keys.isEmpty { setName(of: place.item, request) }
            if !rules.isEmpty { setAttributes(of: place.item, request) }
            if let status { set(status, of: place.item, request) }
        }
    }

    // MARK: - from_attributes

    /// Nothing when one of the attributes is missing.
    private func setName(of span: MessageID, _ request: RequestEditor) {
        let table = request.attributes(span, Field.Span.attributes)
        var name: [UInt8] = []
        for (index, key) in keys.enumerated() {
            guard let value = request.value(key.bytes, in: table) else { return }
            if index > 0 { name += separator }
            switch value {
            case .string, .bool, .int: name += AttributeText(value).bytes
            case .double(let number): name += number.withoutExponent.utf8
            case .empty, .array, .keyValueList, .bytes: name += "<unknown-attribute-type>".utf8
            }
        }
        request.setContent(span, Field.Span.name, request.keep(name))
    }

    // MARK: - to_attributes

    private func setAttributes(of span: MessageID, _ request: RequestEditor) {
        let table = request.attributes(span, Field.Span.attributes)
        for rule in rules {
            let name = request.content(span, Field.Span.name)
            guard name.count > 0 else { return }
            guard rule.pattern.occurs(in: name) else { continue }
            let text = name.array
            var newName: [UInt8] = []
            var copied = 0
            for (key, range) in zip(rule.groups, rule.pattern.firstMatch(in: text).dropFirst()) {
                // A group that took no part has no place in the name.
                guard let range else { continue }
                request.set(key.bytes, to: .string(request.keep(Array(text[range]))), in: table)
                guard range.lowerBound >= copied else { continue }
                newName += text[copied..<range.lowerBound]
                newName.append(UInt8(ascii: "{"))
                newName += key.bytes.array
                newName.append(UInt8(ascii: "}"))
                copied = range.upperBound
            }
            newName += text[copied...]
            if !keepsName { request.setContent(span, Field.Span.name, request.keep(newName)) }
            if breaksAfterMatch { return }
        }
    }

    // MARK: - status

    private func set(
        _ status: (code: UInt64, description: OwnedBytes), of span: MessageID, _ request: RequestEditor
    ) {
        let message = request.child(span, Field.Span.status)
        if request.bits(message, Field.SpanStatus.code) != status.code {
            request.setBits(message, Field.SpanStatus.code, .varint, status.code)
        }
        if !request.content(message, Field.SpanStatus.message).isEqual(to: status.description.bytes) {
            request.setContent(message, Field.SpanStatus.message, status.description.bytes)
        }
        request.close(message)
    }
}
