internal import MetricBuilding

/// A request from one service to another, as far as its spans have come.
struct Edge {
    /// What lies between the two.
    enum Connection: UInt64 {
        case direct
        case messaging
        case database
        case virtual

        var label: String {
            switch self {
            case .direct: ""
            case .messaging: "messaging_system"
            case .database: "database"
            case .virtual: "virtual_node"
            }
        }
    }

    /// A side that no span told of.
    enum VirtualSide: UInt64 {
        case none
        case client
        case server

        var label: String {
            switch self {
            case .none: ""
            case .client: "client"
            case .server: "server"
            }
        }
    }

    var client: [UInt8] = []
    var server: [UInt8] = []
    /// What attributes of the client call the other side.
    var peer: [UInt8] = []
    var clientSeconds = 0.0
    var serverSeconds = 0.0
    var isFailed = false
    var connection = Connection.direct
    var virtualSide = VirtualSide.none
    /// Whether the server has no parent at all.
    var isRoot = false
    /// Labels, `client_…` and `server_…`.
    var clientLabels = AttributeList()
    var serverLabels = AttributeList()

    /// Bytes of names and labels: clients decide how long they are.
    var keptBytes: Int {
        client.count + server.count + peer.count + clientLabels.bytes.count + serverLabels.bytes.count
    }

    var isComplete: Bool { !client.isEmpty && !server.isEmpty }
}

/// 128 bits that stand for something.
struct HashKey: Equatable {
    let low: UInt64
    let high: UInt64
}
