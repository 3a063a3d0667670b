internal import HTTP
internal import NIOCore
internal import OTLP

/// Why what the API server says cannot be used.
struct PodProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A page of a list of pods.
struct PodList {
    private(set) var groups: [TargetGroup] = []
    private(set) var version = ""
    /// Asks for the next page; empty on the last one.
    private(set) var continuation = ""

    /// Reads a `PodList`.
    init(_ body: ByteBuffer) throws(PodProblem) {
        self = try reading(body) { (reader) throws(JSONError) in
            var list = PodList()
            try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                switch key {
                case "metadata":
                    let metadata = try ListMetadata(&reader)
                    list.version = metadata.version
                    list.continuation = metadata.continuation
                case "items":
                    try eachElement(of: &reader) { (reader) throws(JSONError) in
                        list.groups.append(try Pod(&reader).group)
                    }
                default: try reader.skipValue()
                }
            }
            return list
        }
    }

    private init() {}
}

private struct ListMetadata {
    var version = ""
    var continuation = ""

    init(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "resourceVersion": version = try text(&reader)
            case "continue": continuation = try text(&reader)
            default: try reader.skipValue()
            }
        }
    }
}

/// A line of a watch.
struct PodEvent {
    enum Kind: Equatable {
        case changed
        case deleted
        /// Nothing but a new version.
        case bookmark
        case failed(code: Int, message: String)
    }

    var kind = Kind.bookmark
    var group: TargetGroup?
    var version = ""

    /// Reads a `WatchEvent`.
    static func read(_ line: ByteBuffer) throws(PodProblem) -> PodEvent {
        var type = ""
        var pod = Pod()
        try reading(line) { (reader) throws(JSONError) in
            try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                switch key {
                case "type": type = try text(&reader)
                case "object": pod = try Pod(&reader)
                default: try reader.skipValue()
                }
            }
        }
        var event = PodEvent()
        event.version = pod.version
        switch type {
        case "ADDED", "MODIFIED":
            event.kind = .changed
            event.group = pod.group
        case "DELETED":
            event.kind = .deleted
            event.group = pod.group
        case "BOOKMARK": event.kind = .bookmark
        case "ERROR":
            event.kind = .failed(code: pod.statusCode, message: pod.statusMessage)
            event.version = ""
        default: throw PodProblem("unknown event \"\(type)\"")
        }
        return event
    }
}

/// What targets need to know of a pod.
struct Pod {
    struct Container {
        var name = ""
        var image = ""
        var ports: [(name: String, number: String, transport: String)] = []
        var isInit = false
    }

    var name = ""
    var namespace = ""
    var uid = ""
    var version = ""
    var labels: [Label] = []
    var annotations: [Label] = []
    var controllerKind = ""
    var controllerName = ""
    var node = ""
    var containers: [Container] = []
    var phase = ""
    var address = ""
    var hostAddress = ""
    var ready = "unknown"
    var containerIDs: [String: String] = [:]
    /// Of a `Status` in the place of a pod.
    var statusCode = 0
    var statusMessage = ""

    init() {}

    /// Reads a `Pod`, or what stands in its place.
    init(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "metadata": try readMetadata(&reader)
            case "spec": try readSpec(&reader)
            case "status" where try reader.peek() == .object: try readStatus(&reader)
            case "code": statusCode = Int(try reader.readNumber().int64 ?? 0)
            case "message": statusMessage = try text(&reader)
            default: try reader.skipValue()
            }
        }
    }

    private mutating func readMetadata(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "name": name = try text(&reader)
            case "namespace": namespace = try text(&reader)
            case "uid": uid = try text(&reader)
            case "resourceVersion": version = try text(&reader)
            case "labels": labels = try texts(&reader)
            case "annotations": annotations = try texts(&reader)
            case "ownerReferences":
                try eachElement(of: &reader) { (reader) throws(JSONError) in try readOwner(&reader) }
            default: try reader.skipValue()
            }
        }
    }

    private mutating func readOwner(_ reader: inout JSONReader) throws(JSONError) {
        var kind = ""
        var name = ""
        var isController = false
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "kind": kind = try text(&reader)
            case "name": name = try text(&reader)
            case "controller": isController = try reader.readNull() ? false : try reader.readBool()
            default: try reader.skipValue()
            }
        }
        if isController { (controllerKind, controllerName) = (kind, name) }
    }

    private mutating func readSpec(_ reader: inout JSONReader) throws(JSONError) {
        var initContainers: [Container] = []
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "nodeName": node = try text(&reader)
            case "containers":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    containers.append(try Container(&reader, isInit: false))
                }
            case "initContainers":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    initContainers.append(try Container(&reader, isInit: true))
                }
            default: try reader.skipValue()
            }
        }
        containers += initContainers
    }

    private mutating func readStatus(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "phase": phase = try text(&reader)
            case "podIP": address = try text(&reader)
            case "hostIP": hostAddress = try text(&reader)
            case "conditions":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    let condition = try texts(&reader)
                    guard condition.contains(Label("type", "Ready")) else { return }
                    ready = condition.first { $0.name == "status" }?.value.lowercased() ?? ready
                }
            case "containerStatuses", "initContainerStatuses":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    let status = try texts(&reader)
                    guard let name = status.first(where: { $0.name == "name" })?.value else { return }
                    containerIDs[name] = status.first { $0.name == "containerID" }?.value ?? ""
                }
            default: try reader.skipValue()
            }
        }
    }
}

extension Pod.Container {
    init(_ reader: inout JSONReader, isInit: Bool) throws(JSONError) {
        self.isInit = isInit
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "name": name = try text(&reader)
            case "image": image = try text(&reader)
            case "ports":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    let port = try texts(&reader)
                    func value(_ name: String) -> String { port.first { $0.name == name }?.value ?? "" }
                    let transport = value("protocol")
                    ports.append(
                        (value("name"), value("containerPort"), transport.isEmpty ? "TCP" : transport))
                }
            default: try reader.skipValue()
            }
        }
    }
}

// MARK: - JSON

/// Reads one JSON text whole.
private func reading<Value>(
    _ body: ByteBuffer, _ read: (inout JSONReader) throws(JSONError) -> Value
) throws(PodProblem) -> Value {
    do throws(JSONError) {
        return try unsafe body.withReadableBytes { (bytes) throws(JSONError) in
            // SAFETY: the buffer lends its bytes for the call.
            var reader = try unsafe JSONReader(bytes)
            let value = try read(&reader)
            try reader.finish()
            return value
        }
    } catch {
        throw PodProblem("\(error)")
    }
}

/// Enters an object and hands out its keys; `null` is an empty one.
private func eachKey(
    of reader: inout JSONReader, _ body: (String, inout JSONReader) throws(JSONError) -> Void
) throws(JSONError) {
    if try reader.readNull() { return }
    try reader.beginObject()
    while let key = try reader.nextKey() { try body(key.text, &reader) }
}

/// Enters a list and hands out its elements; `null` is an empty one.
private func eachElement(
    of reader: inout JSONReader, _ body: (inout JSONReader) throws(JSONError) -> Void
) throws(JSONError) {
    if try reader.readNull() { return }
    try reader.beginList()
    while try reader.nextElement() { try body(&reader) }
}

/// A string; `null` is an empty one.
private func text(_ reader: inout JSONReader) throws(JSONError) -> String {
    try reader.readNull() ? "" : try reader.readString().text
}

/// The strings and numbers of an object; everything else in it is skipped.
private func texts(_ reader: inout JSONReader) throws(JSONError) -> [Label] {
    var labels: [Label] = []
    try eachKey(of: &reader) { (key, reader) throws(JSONError) in
        switch try reader.peek() {
        case .string: labels.append(Label(key, try reader.readString().text))
        case .number: labels.append(Label(key, try reader.readNumber().bytes.text))
        default: try reader.skipValue()
        }
    }
    return labels
}
