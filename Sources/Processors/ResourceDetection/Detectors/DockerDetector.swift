internal import Glibc
internal import NIOPosix
internal import OTLP

extension DetectorKind {
    /// What the Docker daemon says of its host, and of the container that the process runs in.
    func detectDocker(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        let endpoint =
            config.dockerEndpoint.isEmpty
            ? probe.variable("DOCKER_HOST") ?? "unix:///var/run/docker.sock" : config.dockerEndpoint
        let info = try await Self.ask(endpoint, "/info", probe)
        var found: [DetectedAttribute] = []
        if let name = info["Name"].text { found.append(DetectedAttribute("host.name", name)) }
        if let type = info["OSType"].text { found.append(DetectedAttribute("os.type", type.lowercased())) }
        let names = ["container.name", "container.image.name"].filter { config.wants($0, of: self) }
        guard !names.isEmpty, let id = SystemName().node else { return found }
        let container = try await Self.ask(endpoint, "/containers/\(id)/json", probe)
        if let name = container["Name"].text {
            found.append(DetectedAttribute("container.name", String(name.drop { $0 == "/" })))
        }
        if let image = container["Config"]["Image"].text {
            found.append(DetectedAttribute("container.image.name", image))
        }
        return found
    }

    private static func ask(_ endpoint: String, _ path: String, _ probe: Probe) async throws -> JSONTree {
        if endpoint.hasPrefix("unix://") {
            let socket = String(endpoint.dropFirst("unix://".count))
            let answer = try await NIOThreadPool.singleton.runIfActive {
                try LocalSocket.get(path, from: socket)
            }
            return try Probe.json(answer, from: endpoint + path)
        }
        let base = endpoint.hasPrefix("tcp://") ? "http://" + endpoint.dropFirst("tcp://".count) : endpoint
        return try await probe.json(base + path)
    }
}

/// One request to a server on a Unix domain socket, with a timeout. Blocks: our client of HTTP knows TCP only.
private enum LocalSocket {
    private static let timeoutSeconds = 2
    private static let answerBytesMax = 1 << 20

    static func get(_ path: String, from socketPath: String) throws -> [UInt8] {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw DetectionError("no socket can be made (errno \(errno))") }
        defer { close(socket) }
        var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            // SAFETY: the kernel copies the value during the call.
            _ = unsafe setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array(socketPath.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw DetectionError("\(socketPath) is too long for a socket")
        }
        // SAFETY: the name is shorter than the path.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
        // SAFETY: the address lives during the call.
        let code = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard code == 0 else { throw DetectionError("\(socketPath) cannot be connected to (errno \(errno))") }
        // HTTP/1.0: the answer ends with the connection and comes in one piece.
        let request = Array("GET \(path) HTTP/1.0\r\nHost: localhost\r\n\r\n".utf8)
        // SAFETY: the kernel reads at most the request's count.
        let sent = unsafe request.withUnsafeBytes {
            unsafe send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard sent == request.count else {
            throw DetectionError("\(socketPath) takes no request (errno \(errno))")
        }
        return try body(of: try answer(from: socket, socketPath), socketPath)
    }

    private static func answer(from socket: Int32, _ name: String) throws -> [UInt8] {
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            // SAFETY: the kernel writes at most the chunk's count.
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe recv(socket, $0.baseAddress, $0.count, 0)
            }
            guard count >= 0 else { throw DetectionError("\(name) does not answer (errno \(errno))") }
            if count == 0 { return answer }
            answer += chunk[..<count]
            guard answer.count <= answerBytesMax else {
                throw DetectionError("\(name) answers more than \(answerBytesMax) bytes")
            }
        }
    }

    private static func body(of answer: [UInt8], _ name: String) throws -> [UInt8] {
        let gap = Array("\r\n\r\n".utf8)
        guard let end = answer.indices.first(where: { answer[$0...].starts(with: gap) }) else {
            throw DetectionError("\(name) does not speak HTTP")
        }
        let head = String(decoding: answer[..<end], as: UTF8.self)
        guard head.prefix(while: { $0 != "\r\n" }).split(separator: " ").dropFirst().first == "200" else {
            throw DetectionError("\(name): \(head.prefix { $0 != "\r\n" })")
        }
        return Array(answer[(end + gap.count)...])
    }
}
