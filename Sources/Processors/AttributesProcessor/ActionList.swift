internal import Hashing
internal import ItemMatching
internal import OTLP
internal import Pipeline
internal import RegularExpression

/// The actions of a processor, in order. Any thread.
@safe
final class ActionList: Sendable {
    private let actions: [Action]
    /// What actions set that need nothing else, encoded.
    private let keyValues: [OwnedBytes?]
    // SAFETY: written before it is shared, never changed, freed in deinit.
    /// The same, borrowing from both, and not an array: the commonest touch no reference counts.
    private nonisolated(unsafe) let steps: UnsafeMutableBufferPointer<Step>
    private let usesContext: Bool

    // SAFETY (@unchecked Sendable): what it borrows never changes, and lives as long as what is beside it.
    private enum Step: @unchecked Sendable {
        /// With the `KeyValue` that it is when it is new.
        case set(WireBytes, Action.SetMode, WireBytes)
        case delete(WireBytes)
        case other

        init(_ action: Action, _ keyValue: OwnedBytes?) {
            switch action {
            case .set(let key, let mode, .constant, _):
                self = .set(key.bytes, mode, keyValue?.bytes ?? WireBytes.none)
            case .delete(let key?, nil): self = .delete(key.bytes)
            default: self = .other
            }
        }
    }

    /// - Throws: why one of them is not valid.
    init(_ configs: [ActionConfig]) throws(ActionError) {
        var actions: [Action] = []
        for (index, config) in configs.enumerated() { actions.append(try Action(config, at: index)) }
        self.actions = actions
        keyValues = actions.map { action in
            guard case .set(let key, _, .constant(let value), _) = action else { return nil }
            return OwnedBytes(keyValue: key.bytes, value.value)
        }
        unsafe steps = .allocate(capacity: actions.count)
        _ = unsafe steps.initialize(from: zip(actions, keyValues).map { Step($0, $1) })
        usesContext = configs.contains { !$0.fromContext.isEmpty }
    }

    deinit { unsafe steps.deallocate() }

    /// What one request's client gave, by action; empty when no action asks.
    typealias ContextValues = [OwnedValue?]

    func contextValues(_ context: EditContext) -> ContextValues {
        guard usesContext else { return [] }
        return actions.map { action in
            guard case .set(_, _, .context(let source), _) = action else { return nil }
            return source.value(context)
        }
    }

    /// Applies all actions to the attributes of one item. Allocates nothing for insert, update, upsert and delete.
    func apply(to request: RequestEditor, _ table: AttributeTable, _ values: ContextValues) {
        for index in unsafe 0..<steps.count {
            switch unsafe steps[index] {
            case .set(let key, .insert, let keyValue):
                if !request.contains(key, in: table) { request.append(borrowing: keyValue, to: table) }
            case .set(let key, .update, let keyValue):
                if request.contains(key, in: table) { request.set(key, borrowing: keyValue, in: table) }
            case .set(let key, .upsert, let keyValue): request.set(key, borrowing: keyValue, in: table)
            case .delete(let key): request.remove(key, in: table)
            case .other: apply(actions[index], to: request, table, usesContext ? values[index] : nil)
            }
        }
    }

    @inline(__always)
    private static func set(
        _ key: WireBytes, _ mode: Action.SetMode, _ request: RequestEditor, _ table: AttributeTable,
        _ value: () -> AttributeValue?
    ) {
        let position = request.find(key, in: table)
        switch mode {
        case .insert: if position != nil { return }
        case .update: if position == nil { return }
        case .upsert: break
        }
        guard let value = value() else { return }
        if let position {
            request.setValue(table, at: position, to: value)
        } else {
            request.append(key, value, to: table)
        }
    }

    private func apply(
        _ action: Action, to request: RequestEditor, _ table: AttributeTable, _ given: OwnedValue?
    ) {
        switch action {
        case .set(let key, let mode, let source, let fallback):
            Self.set(key.bytes, mode, request, table) {
                Self.value(source, given, request, table) ?? fallback?.value
            }
        case .delete(let key, let pattern):
            if let key { request.remove(key.bytes, in: table) }
            if let pattern {
                Self.forEachMatch(pattern, request, table) { request.removeAttribute(table, at: $0) }
            }
        case .hash(let key, let pattern):
            if let key, let position = request.find(key.bytes, in: table) {
                Self.hash(request, table, position)
            }
            if let pattern {
                Self.forEachMatch(pattern, request, table) { Self.hash(request, table, $0) }
            }
        case .extract(let key, let pattern, let groups):
            Self.extract(key, pattern, groups, request, table)
        case .convert(let key, let target): Self.convert(key, target, request, table)
        }
    }

    private static func value(
        _ source: Action.Source, _ given: OwnedValue?, _ request: RequestEditor, _ table: AttributeTable
    ) -> AttributeValue? {
        switch source {
        case .constant(let value): value.value
        case .attribute(let key): request.value(key.bytes, in: table)
        case .context: given?.value
        case .nowhere: nil
        }
    }

    private static func forEachMatch(
        _ pattern: RegularExpression, _ request: RequestEditor, _ table: AttributeTable, _ body: (Int) -> Void
    ) {
        for position in 0..<request.fieldCount(table.message)
        where request.number(table.message, at: position) == table.number
            && pattern.occurs(in: request.key(table, at: position))
        {
            body(position)
        }
    }

    // MARK: - Hash

    /// SHA-256 of texts, of numbers as 8 bytes little-endian, of booleans as one; an empty text for all other values.
    private static func hash(_ request: RequestEditor, _ table: AttributeTable, _ position: Int) {
        let data: [UInt8]?
        switch request.value(table, at: position) {
        case .string(let text): data = text.array
        case .bool(let value): data = [value ? 1 : 0]
        case .int(let value): data = littleEndian(UInt64(bitPattern: value))
        case .double(let value): data = littleEndian(value.bitPattern)
        case .empty, .array, .keyValueList, .bytes: data = nil
        }
        let text = request.keep(data.map { Digest.sha256.hex(of: $0) } ?? [])
        request.setValue(table, at: position, to: .string(text))
    }

    private static func littleEndian(_ value: UInt64) -> [UInt8] {
        stride(from: UInt64(0), to: 64, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    // MARK: - Extract

    private static func extract(
        _ key: OwnedBytes, _ pattern: RegularExpression, _ names: [OwnedBytes], _ request: RequestEditor,
        _ table: AttributeTable
    ) {
        guard case .string(let text)? = request.value(key.bytes, in: table) else { return }
        let bytes = text.array
        let groups = pattern.firstMatch(in: bytes)
        guard !groups.isEmpty else { return }
        for (name, range) in zip(names, groups.dropFirst()) {
            let value = request.keep(range.map { Array(bytes[$0]) } ?? [])
            request.set(name.bytes, to: .string(value), in: table)
        }
    }

    // MARK: - Convert

    /// What cannot be converted stays.
    private static func convert(
        _ key: OwnedBytes, _ target: Action.Target, _ request: RequestEditor, _ table: AttributeTable
    ) {
        guard let position = request.find(key.bytes, in: table) else { return }
        let value = request.value(table, at: position)
        let converted: AttributeValue?
        switch target {
        case .string:
            if case .string = value { return }
            converted = .string(request.keep(AttributeText(value).bytes))
        case .int:
            switch value {
            case .double(let number): converted = .int(Int64(exactly: number.rounded(.towardZero)) ?? .min)
            case .bool(let flag): converted = .int(flag ? 1 : 0)
            case .string(let text): converted = Int64(text.text).map { .int($0) }
            default: converted = nil
            }
        case .double:
            switch value {
            case .int(let number): converted = .double(Double(number))
            case .bool(let flag): converted = .double(flag ? 1 : 0)
            case .string(let text): converted = Double(goText: text.text).map { .double($0) }
            default: converted = nil
            }
        }
        if let converted { request.setValue(table, at: position, to: converted) }
    }
}
