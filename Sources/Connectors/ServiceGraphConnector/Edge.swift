/// A request from one service to another, as far as its spans have come.
struct Edge: BitwiseCopyable {
    /// What lies between the two.
    enum Connection: UInt8 {
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
    enum VirtualSide: UInt8 {
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

    /// The services, and what attributes of the client call the other side: references that are its own, as those of the
    /// labels.
    var client: NameTable.ID = 0
    var server: NameTable.ID = 0
    var peer: NameTable.ID = 0
    /// Labels, `client_…` and `server_…`: bytes of `AttributeList`s.
    var clientLabels: NameTable.ID = 0
    var serverLabels: NameTable.ID = 0
    var clientSeconds = 0.0
    var serverSeconds = 0.0
    var isFailed = false
    var connection = Connection.direct
    var virtualSide = VirtualSide.none
    /// Whether the server has no parent at all.
    var isRoot = false

    var isComplete: Bool { client != 0 && server != 0 }

    /// Adds what a span tells, and takes over its references.
    mutating func add(_ half: EdgeHalf, _ names: inout NameTable) {
        if half.isFailed { isFailed = true }
        if half.isMessaging { connection = .messaging }
        guard half.isClient else {
            names.replace(&server, by: half.service)
            names.replace(&serverLabels, by: half.labels)
            serverSeconds = half.seconds
            isRoot = half.isRoot
            return
        }
        names.replace(&client, by: half.service)
        names.replace(&clientLabels, by: half.labels)
        names.replace(&peer, by: half.peer)
        clientSeconds = half.seconds
        if half.database != 0 {
            connection = .database
            names.replace(&server, by: half.database)
            serverSeconds = half.seconds
        }
    }

    /// Gives up its references.
    func release(_ names: inout NameTable) {
        names.release(client)
        names.release(server)
        names.release(peer)
        names.release(clientLabels)
        names.release(serverLabels)
    }
}

/// What a span tells of an edge; its references are its own.
struct EdgeHalf: BitwiseCopyable {
    let isClient: Bool
    let service: NameTable.ID
    let seconds: Double
    let isFailed: Bool
    let isMessaging: Bool
    /// Of a server.
    let isRoot: Bool
    var labels: NameTable.ID = 0
    /// Of a client.
    var peer: NameTable.ID = 0
    /// Of a client that calls a database.
    var database: NameTable.ID = 0
}
