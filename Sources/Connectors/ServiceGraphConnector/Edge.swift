internal import MetricBuilding
internal import OTLP

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
    /// Labels, `client_…` and `server_…`; nothing without dimensions.
    var clientLabels: AttributeList?
    var serverLabels: AttributeList?

    /// Bytes of names and labels: clients decide how long they are.
    var keptBytes: Int {
        client.count + server.count + peer.count + (clientLabels?.bytes.count ?? 0)
            + (serverLabels?.bytes.count ?? 0)
    }

    var isComplete: Bool { !client.isEmpty && !server.isEmpty }

    /// Adds what a span tells.
    mutating func add(_ half: EdgeHalf) {
        if half.isFailed { isFailed = true }
        if half.isMessaging { connection = .messaging }
        guard half.isClient else {
            server = half.service
            serverSeconds = half.seconds
            isRoot = half.isRoot
            if let labels = half.labels { serverLabels = labels }
            return
        }
        client = half.service
        clientSeconds = half.seconds
        if let labels = half.labels { clientLabels = labels }
        peer = half.peer
        if let database = half.database {
            connection = .database
            server = database.array
            serverSeconds = half.seconds
        }
    }
}

/// What a span tells of an edge. Borrows as `WireBytes`.
struct EdgeHalf {
    let isClient: Bool
    let service: [UInt8]
    let seconds: Double
    let isFailed: Bool
    let isMessaging: Bool
    /// Of a server.
    let isRoot: Bool
    var labels: AttributeList?
    /// Of a client.
    var peer: [UInt8] = []
    /// Of a client that calls a database.
    var database: WireBytes?
}

/// 128 bits that stand for something.
struct HashKey: Equatable {
    let low: UInt64
    let high: UInt64
}
