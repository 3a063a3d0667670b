internal import Kubernetes
internal import OTLP

/// A namespace, a node, or what owns pods: of these only the metadata are read.
struct ClusterObject: KubernetesObject {
    var metadata = ObjectMetadata()

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) { try reader.skipValue() }
}

/// A pod, as far as attributes are made of it.
struct PodObject: KubernetesObject {
    struct Container {
        var name = ""
        var image = ""
        /// By restart count.
        var instances: [(restarts: Int, id: String)] = []
        var imageID = ""
    }

    var metadata = ObjectMetadata()
    var hostName = ""
    var node = ""
    var isOnHostNetwork = false
    var address = ""
    var startTime = ""
    /// As the spec lists them, without what the status says.
    private var listed: [Container] = []
    private var statuses: [Container] = []
    /// In the spec's order.
    var containers: [Container] {
        listed.map { container in
            var container = container
            if let status = statuses.first(where: { $0.name == container.name }) {
                container.instances = status.instances
                container.imageID = status.imageID
            }
            return container
        }
    }

    init() {}

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) {
        switch key {
        case "spec": try readSpec(&reader)
        case "status" where try reader.peek() == .object: try readStatus(&reader)
        default: try reader.skipValue()
        }
    }

    private mutating func readSpec(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "nodeName": node = try text(&reader)
            case "hostname": hostName = try text(&reader)
            case "hostNetwork": isOnHostNetwork = try reader.readNull() ? false : try reader.readBool()
            case "containers", "initContainers":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    let fields = try texts(&reader)
                    func field(_ name: String) -> String { fields.first { $0.key == name }?.value ?? "" }
                    listed.append(Container(name: field("name"), image: field("image")))
                }
            default: try reader.skipValue()
            }
        }
    }

    private mutating func readStatus(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "podIP": address = try text(&reader)
            case "startTime": startTime = try text(&reader)
            case "containerStatuses", "initContainerStatuses":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    statuses.append(try Self.status(&reader))
                }
            default: try reader.skipValue()
            }
        }
    }

    private static func status(_ reader: inout JSONReader) throws(JSONError) -> Container {
        var status = Container()
        var id = ""
        var last = ""
        var restarts = 0
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "name": status.name = try text(&reader)
            case "containerID": id = try text(&reader)
            case "imageID": status.imageID = try text(&reader)
            case "restartCount": restarts = Int(try reader.readNumber().int64 ?? 0)
            case "lastState":
                last = try JSONTree(&reader)["terminated"]["containerID"].text ?? ""
            default: try reader.skipValue()
            }
        }
        if !id.isEmpty { status.instances.append((restarts, bare(id))) }
        if !last.isEmpty { status.instances.append((restarts - 1, bare(last))) }
        return status
    }

    /// `containerd://ID` without what runs it.
    private static func bare(_ id: String) -> String {
        guard let end = id.range(of: "://") else { return id }
        return String(id[end.upperBound...])
    }
}

extension String {
    /// Where a text first occurs in it.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
