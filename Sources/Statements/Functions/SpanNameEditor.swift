internal import OTLP

/// `set_semconv_span_name`: a name of few values, from the attributes of the semantic conventions.
enum SpanNameEditor {
    private static let versions = (37...43).map { "1.\($0).0" }

    static var all: [Function] {
        [
            Function(
                "set_semconv_span_name",
                [
                    .required("semconv_version", .literalString),
                    .optional("original_span_name_attribute", .literalString),
                ]
            ) { arguments throws(FunctionError) in
                let version = arguments.text(0) ?? ""
                guard versions.contains(version) else {
                    throw FunctionError(
                        "unsupported semconv version: \(version), supported versions: "
                            + versions.joined(separator: ", "))
                }
                let original = arguments.text(1) ?? ""
                return { frame throws(EvaluationError) in
                    guard let name = name(frame) else { return .null }
                    let old = frame.editor.content(frame.item, Field.Span.name)
                    let new = Bytes(name)
                    guard !new.equals(old.array) else { return .null }
                    if !original.isEmpty {
                        let table = frame.editor.attributes(frame.item, Field.Span.attributes)
                        Bytes(original).lend { frame.editor.set($0, to: .string(old), in: table) }
                    }
                    frame.editor.setContent(frame.item, Field.Span.name, new)
                    return .null
                }
            }
        ]
    }

    /// The name; nil when the span follows no convention.
    private static func name(_ frame: Frame) -> String? {
        http(frame) ?? rpc(frame) ?? messaging(frame) ?? database(frame)
    }

    /// The first of some attributes that is a text and not empty.
    private static func text(_ frame: Frame, _ keys: String...) -> String? {
        let table = frame.editor.attributes(frame.item, Field.Span.attributes)
        for key in keys {
            let value = Bytes(key).lend { frame.editor.value($0, in: table) }
            if case .string(let bytes) = value, bytes.count > 0 { return bytes.text }
        }
        return nil
    }

    private static func http(_ frame: Frame) -> String? {
        guard var method = text(frame, "http.request.method", "http.method") else { return nil }
        if method == "_OTHER" { method = "HTTP" }
        let isServer = frame.editor.bits(frame.item, Field.Span.kind) == 2
        guard let target = isServer ? text(frame, "http.route") : text(frame, "url.template", "http.route") else {
            return method
        }
        return method + " " + target
    }

    private static func rpc(_ frame: Frame) -> String? {
        guard let system = text(frame, "rpc.system.name", "rpc.system") else { return nil }
        switch (text(frame, "rpc.service"), text(frame, "rpc.method")) {
        case (let service?, let method?): return method.contains("/") ? method : service + "/" + method
        case (nil, let method?): return method
        case (let service?, nil): return service + "/*"
        default: return "(" + system + ")"
        }
    }

    private static func messaging(_ frame: Frame) -> String? {
        guard let system = text(frame, "messaging.system") else { return nil }
        let operation = text(frame, "messaging.operation.name", "messaging.operation.type", "messaging.operation")
        let table = frame.editor.attributes(frame.item, Field.Span.attributes)
        func isSet(_ key: String) -> Bool {
            let value = Bytes(key).lend { frame.editor.value($0, in: table) }
            if case .bool(true) = value { return true }
            return false
        }
        var destination = text(frame, "messaging.destination.template")
        if destination == nil {
            if isSet("messaging.destination.temporary") {
                destination = "(temporary)"
            } else if isSet("messaging.destination.anonymous") {
                destination = "(anonymous)"
            } else {
                destination = text(frame, "messaging.destination.name", "server.address")
            }
        }
        return [operation ?? system, destination].compactMap { $0 }.joined(separator: " ")
    }

    private static func database(_ frame: Frame) -> String? {
        guard let system = text(frame, "db.system.name", "db.system") else { return nil }
        if let summary = text(frame, "db.query.summary") { return summary }
        let target = text(
            frame, "db.collection.name", "db.stored_procedure.name", "db.namespace", "server.address")
        guard let operation = text(frame, "db.operation.name", "db.operation") else {
            return target ?? system
        }
        return [operation, target].compactMap { $0 }.joined(separator: " ")
    }
}
