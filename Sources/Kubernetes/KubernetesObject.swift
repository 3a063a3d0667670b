internal import HTTP
internal import NIOCore
package import OTLP

/// Why what the API server says cannot be used.
package struct KubernetesProblem: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// What is read of one object, or of a `Status` in its place.
package protocol KubernetesObject: SendableMetatype {
    /// Reads the object that the reader stands before.
    init(_ reader: inout JSONReader) throws(JSONError)
    /// `metadata.resourceVersion`.
    var version: String { get }
    /// `code` and `message` of a `Status`.
    var statusCode: Int { get }
    var statusMessage: String { get }
}

/// A page of a list.
struct KubernetesPage<Object: KubernetesObject> {
    private(set) var objects: [Object] = []
    private(set) var version = ""
    /// Asks for the next page; empty on the last one.
    private(set) var continuation = ""

    /// Reads a list of any kind.
    init(_ body: ByteBuffer) throws(KubernetesProblem) {
        self = try reading(body) { (reader) throws(JSONError) in
            var page = KubernetesPage()
            try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                switch key {
                case "metadata":
                    try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                        switch key {
                        case "resourceVersion": page.version = try text(&reader)
                        case "continue": page.continuation = try text(&reader)
                        default: try reader.skipValue()
                        }
                    }
                case "items":
                    try eachElement(of: &reader) { (reader) throws(JSONError) in
                        page.objects.append(try Object(&reader))
                    }
                default: try reader.skipValue()
                }
            }
            return page
        }
    }

    private init() {}
}

/// A line of a watch.
struct KubernetesEvent<Object: KubernetesObject> {
    enum Kind: Equatable {
        case changed
        case deleted
        /// Nothing but a new version.
        case bookmark
        case failed(code: Int, message: String)
    }

    var kind = Kind.bookmark
    var object: Object?
    var version = ""

    /// Reads a `WatchEvent`.
    static func read(_ line: ByteBuffer) throws(KubernetesProblem) -> KubernetesEvent {
        var type = ""
        var object: Object?
        try reading(line) { (reader) throws(JSONError) in
            try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                switch key {
                case "type": type = try text(&reader)
                case "object": object = try Object(&reader)
                default: try reader.skipValue()
                }
            }
        }
        var event = KubernetesEvent()
        event.version = object?.version ?? ""
        event.object = object
        switch type {
        case "ADDED", "MODIFIED": event.kind = .changed
        case "DELETED": event.kind = .deleted
        case "BOOKMARK": event.kind = .bookmark
        case "ERROR":
            event.kind = .failed(code: object?.statusCode ?? 0, message: object?.statusMessage ?? "")
            event.version = ""
        default: throw KubernetesProblem("unknown event \"\(type)\"")
        }
        return event
    }
}

// MARK: - JSON

/// Reads one JSON text whole.
private func reading<Value>(
    _ body: ByteBuffer, _ read: (inout JSONReader) throws(JSONError) -> Value
) throws(KubernetesProblem) -> Value {
    do throws(JSONError) {
        return try unsafe body.withReadableBytes { (bytes) throws(JSONError) in
            // SAFETY: the buffer lends its bytes for the call.
            var reader = try unsafe JSONReader(bytes)
            let value = try read(&reader)
            try reader.finish()
            return value
        }
    } catch {
        throw KubernetesProblem("\(error)")
    }
}

/// Enters an object and hands out its keys; `null` is an empty one.
package func eachKey(
    of reader: inout JSONReader, _ body: (String, inout JSONReader) throws(JSONError) -> Void
) throws(JSONError) {
    if try reader.readNull() { return }
    try reader.beginObject()
    while let key = try reader.nextKey() { try body(key.text, &reader) }
}

/// Enters a list and hands out its elements; `null` is an empty one.
package func eachElement(
    of reader: inout JSONReader, _ body: (inout JSONReader) throws(JSONError) -> Void
) throws(JSONError) {
    if try reader.readNull() { return }
    try reader.beginList()
    while try reader.nextElement() { try body(&reader) }
}

/// A string; `null` is an empty one.
package func text(_ reader: inout JSONReader) throws(JSONError) -> String {
    try reader.readNull() ? "" : try reader.readString().text
}

/// The strings and numbers of an object; everything else in it is skipped.
package func texts(_ reader: inout JSONReader) throws(JSONError) -> [(key: String, value: String)] {
    var texts: [(key: String, value: String)] = []
    try eachKey(of: &reader) { (key, reader) throws(JSONError) in
        switch try reader.peek() {
        case .string: texts.append((key, try reader.readString().text))
        case .number: texts.append((key, try reader.readNumber().bytes.text))
        default: try reader.skipValue()
        }
    }
    return texts
}
