internal import Kubernetes
internal import OTLP

/// What targets need to know of a pod.
struct Pod: KubernetesObject {
    struct Container {
        var name = ""
        var image = ""
        var ports: [(name: String, number: String, transport: String)] = []
        var isInit = false
    }

    var metadata = ObjectMetadata()
    var node = ""
    var containers: [Container] = []
    var phase = ""
    var address = ""
    var hostAddress = ""
    var ready = "unknown"
    var containerIDs: [String: String] = [:]

    var name: String { metadata.name }
    var namespace: String { metadata.namespace }

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) {
        switch key {
        case "spec": try readSpec(&reader)
        case "status" where try reader.peek() == .object: try readStatus(&reader)
        default: try reader.skipValue()
        }
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
                    let condition = try labelList(&reader)
                    guard condition.contains(Label("type", "Ready")) else { return }
                    ready = condition.first { $0.name == "status" }?.value.lowercased() ?? ready
                }
            case "containerStatuses", "initContainerStatuses":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    let status = try labelList(&reader)
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
                    let port = try labelList(&reader)
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

/// The strings and numbers of an object.
func labelList(_ reader: inout JSONReader) throws(JSONError) -> [Label] {
    try texts(&reader).map { Label($0.key, $0.value) }
}
