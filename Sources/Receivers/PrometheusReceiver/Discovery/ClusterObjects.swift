internal import Kubernetes
internal import OTLP

// What targets need to know of nodes, services and the endpoints of services.

/// A machine of the cluster.
struct Node: KubernetesObject {
    var metadata = ObjectMetadata()
    var providerID = ""
    var addresses: [(type: String, address: String)] = []
    var kubeletPort = ""

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) {
        switch key {
        case "spec":
            try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                if key == "providerID" {
                    providerID = try text(&reader)
                } else {
                    try reader.skipValue()
                }
            }
        case "status" where try reader.peek() == .object: try readStatus(&reader)
        default: try reader.skipValue()
        }
    }

    private mutating func readStatus(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "addresses":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    let address = try labelList(&reader)
                    addresses.append((address.value("type"), address.value("address")))
                }
            case "daemonEndpoints":
                try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                    if key == "kubeletEndpoint" {
                        kubeletPort = try labelList(&reader).value("Port")
                    } else {
                        try reader.skipValue()
                    }
                }
            default: try reader.skipValue()
            }
        }
    }
}

/// A port of a service or of endpoints.
struct ServicePort {
    let name: String
    let number: String
    let transport: String
    let application: String

    init(_ reader: inout JSONReader) throws(JSONError) {
        let port = try labelList(&reader)
        name = port.value("name")
        number = port.value("port")
        let transport = port.value("protocol")
        self.transport = transport.isEmpty ? "TCP" : transport
        application = port.value("appProtocol")
    }
}

/// A service.
struct Service: KubernetesObject {
    var metadata = ObjectMetadata()
    var type = ""
    var clusterAddress = ""
    var externalName = ""
    var loadBalancerAddress = ""
    var ports: [ServicePort] = []

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) {
        guard key == "spec" else { return try reader.skipValue() }
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "type": type = try text(&reader)
            case "clusterIP": clusterAddress = try text(&reader)
            case "externalName": externalName = try text(&reader)
            case "loadBalancerIP": loadBalancerAddress = try text(&reader)
            case "ports":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    ports.append(try ServicePort(&reader))
                }
            default: try reader.skipValue()
            }
        }
    }
}

/// Where a service is served: an `Endpoints`, or an `EndpointSlice`, whose one subset has conditions and topology.
struct ServiceEndpoints: KubernetesObject {
    struct Address {
        var addresses: [String] = []
        var hostName = ""
        var node = ""
        var zone = ""
        /// `ready`, `serving`, `terminating` of a slice, as far as it says them.
        var conditions: [Label] = []
        var targetKind = ""
        var targetName = ""
        var isReady = true
    }

    struct Subset {
        var addresses: [Address] = []
        var ports: [ServicePort] = []
    }

    var metadata = ObjectMetadata()
    var addressType = ""
    private var listed: [Subset] = []
    /// What a slice is.
    private var slice = Subset()
    var subsets: [Subset] { slice.addresses.isEmpty ? listed : listed + [slice] }
    /// The service's: an `Endpoints` has its name.
    var service: String {
        metadata.label("kubernetes.io/service-name") ?? metadata.name
    }

    init() {}

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(JSONError) {
        switch key {
        case "addressType": addressType = try text(&reader)
        case "subsets":
            try eachElement(of: &reader) { (reader) throws(JSONError) in
                listed.append(try Subset(&reader))
            }
        case "endpoints":
            try eachElement(of: &reader) { (reader) throws(JSONError) in
                slice.addresses.append(try Address(&reader))
            }
        case "ports":
            try eachElement(of: &reader) { (reader) throws(JSONError) in
                slice.ports.append(try ServicePort(&reader))
            }
        default: try reader.skipValue()
        }
    }
}

extension ServiceEndpoints.Subset {
    init(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "addresses", "notReadyAddresses":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    var address = try ServiceEndpoints.Address(&reader)
                    address.isReady = key == "addresses"
                    addresses.append(address)
                }
            case "ports":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    ports.append(try ServicePort(&reader))
                }
            default: try reader.skipValue()
            }
        }
    }
}

extension ServiceEndpoints.Address {
    /// Reads an address of an `Endpoints` or an endpoint of a slice.
    init(_ reader: inout JSONReader) throws(JSONError) {
        try eachKey(of: &reader) { (key, reader) throws(JSONError) in
            switch key {
            case "ip": addresses.append(try text(&reader))
            case "addresses":
                try eachElement(of: &reader) { (reader) throws(JSONError) in
                    addresses.append(try text(&reader))
                }
            case "hostname": hostName = try text(&reader)
            case "nodeName": node = try text(&reader)
            case "zone": zone = try text(&reader)
            case "targetRef":
                let target = try labelList(&reader)
                targetKind = target.value("kind")
                targetName = target.value("name")
            case "conditions":
                try eachKey(of: &reader) { (key, reader) throws(JSONError) in
                    guard try !reader.readNull() else { return }
                    conditions.append(Label(key, try reader.readBool() ? "true" : "false"))
                }
            default: try reader.skipValue()
            }
        }
    }
}

extension [Label] {
    /// The value of the first label of this name; empty when there is none.
    fileprivate func value(_ name: String) -> String { first { $0.name == name }?.value ?? "" }
}
