internal import HTTP
internal import NIOCore
package import OTLP

/// Why what the API server says cannot be used.
package struct KubernetesProblem: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// What is read of one object.
package protocol KubernetesObject: SendableMetatype {
    init()
    var metadata: ObjectMetadata { get set }
    /// Reads the value of a key other than `metadata`, or skips it.
    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError)
}

extension KubernetesObject {
    /// Reads the object that the reader stands before.
    package init(_ reader: inout JSONReader) throws(JSONError) {
        self.init()
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            if key == "metadata" {
                metadata = try ObjectMetadata(&reader)
            } else {
                try read(key, &reader)
            }
        }
    }
}

/// What all objects have: `metadata`.
package struct ObjectMetadata {
    package struct Owner {
        package var kind = ""
        package var name = ""
        package var uid = ""
        package var isController = false
    }

    package var name = ""
    package var namespace = ""
    package var uid = ""
    package var version = ""
    /// RFC 3339.
    package var created = ""
    package var labels: [(key: String, value: String)] = []
    package var annotations: [(key: String, value: String)] = []
    package var owners: [Owner] = []

    package init() {}

    init(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "name": name = try text(&reader)
            case "namespace": namespace = try text(&reader)
            case "uid": uid = try text(&reader)
            case "resourceVersion": version = try text(&reader)
            case "creationTimestamp": created = try text(&reader)
            case "labels": labels = try texts(&reader)
            case "annotations": annotations = try texts(&reader)
            case "ownerReferences":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    owners.append(try Owner(&reader))
                }
            default: try reader.skipValue()
            }
        }
    }

    package func label(_ name: String) -> String? { labels.first { $0.key == name }?.value }
    package func annotation(_ name: String) -> String? { annotations.first { $0.key == name }?.value }
    package func owner(_ kind: String) -> Owner? { owners.first { $0.kind == kind } }
}

extension ObjectMetadata.Owner {
    init(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "kind": kind = try text(&reader)
            case "name": name = try text(&reader)
            case "uid": uid = try text(&reader)
            case "controller": isController = try reader.readNull() ? false : try reader.readBool()
            default: try reader.skipValue()
            }
        }
    }
}

/// An object, or the `Status` in its place that says why there is none.
private struct ObjectOrStatus<Object: KubernetesObject>: KubernetesObject {
    var object = Object()
    var code = 0
    var message = ""
    var metadata: ObjectMetadata {
        get { object.metadata }
        set { object.metadata = newValue }
    }

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) {
        switch key {
        case "code": code = Int(try reader.readNumber().int64 ?? 0)
        case "message": message = try text(&reader)
        default: try object.read(key, &reader)
        }
    }
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
        var found: ObjectOrStatus<Object>?
        try reading(line) { (reader) throws(JSONError) in
            try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                switch key {
                case "type": type = try text(&reader)
                case "object": found = try ObjectOrStatus(&reader)
                default: try reader.skipValue()
                }
            }
        }
        var event = KubernetesEvent()
        event.version = found?.metadata.version ?? ""
        event.object = found?.object
        switch type {
        case "ADDED", "MODIFIED": event.kind = .changed
        case "DELETED": event.kind = .deleted
        case "BOOKMARK": event.kind = .bookmark
        case "ERROR":
            event.kind = .failed(code: found?.code ?? 0, message: found?.message ?? "")
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
        return try unsafe body.withUnsafeReadableBytes { (bytes) throws(JSONError) in
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
