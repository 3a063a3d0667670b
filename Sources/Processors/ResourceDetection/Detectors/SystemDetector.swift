internal import Configuration
internal import Glibc

extension DetectorKind {
    /// The host that the process runs on.
    func detectSystem(_ config: ResourceDetectionConfig, _ probe: Probe) async throws -> [DetectedAttribute] {
        var found: [DetectedAttribute] = []
        let kernel = SystemName()
        if config.wants("host.name", of: self) {
            found.append(DetectedAttribute("host.name", try Self.hostName(config.hostnameSources, kernel)))
        }
        found.append(DetectedAttribute("os.type", "linux"))
        if let id = try await Self.machineID(probe) { found.append(DetectedAttribute("host.id", id)) }
        found.append(DetectedAttribute("host.arch", kernel.architecture))
        let interfaces = NetworkInterfaces()
        found += interfaces.attributes
        found += try await Self.hardwareAddresses(of: interfaces.names, probe)
        found += Self.processor(try await probe.file("/proc/cpuinfo") ?? "")
        found += Self.operatingSystem(try await probe.file("/etc/os-release") ?? "", kernel)
        return found
    }

    /// The first source that gives a name.
    private static func hostName(_ sources: [String], _ kernel: SystemName) throws -> String {
        for source in sources {
            let name = source == "os" ? kernel.node : SystemName.canonical(kernel.node)
            if let name, !name.isEmpty { return name }
        }
        throw DetectionError(
            "no source of hostname_sources gives a host name: \(sources.joined(separator: ", "))")
    }

    private static func machineID(_ probe: Probe) async throws -> String? {
        for path in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
            if let text = try await probe.file(path) {
                let id = trimmed(text[...])
                if !id.isEmpty { return id }
            }
        }
        return nil
    }

    /// As the specification writes them: `AA-BB-CC-DD-EE-FF`.
    private static func hardwareAddresses(
        of names: [String], _ probe: Probe
    ) async throws -> [DetectedAttribute] {
        var addresses: [ConfigValue] = []
        for name in names {
            guard let text = try await probe.file("/sys/class/net/\(name)/address") else { continue }
            let address = trimmed(text[...]).uppercased().map { $0 == ":" ? "-" : $0 }
            if address.count == 17 { addresses.append(.string(String(address))) }
        }
        return addresses.isEmpty ? [] : [DetectedAttribute("host.mac", .list(addresses))]
    }

    /// From the first block of `/proc/cpuinfo`.
    static func processor(_ text: String) -> [DetectedAttribute] {
        let names = [
            ("vendor_id", "host.cpu.vendor.id"), ("cpu family", "host.cpu.family"),
            ("model", "host.cpu.model.id"),
            ("model name", "host.cpu.model.name"), ("stepping", "host.cpu.stepping"),
            ("cache size", "host.cpu.cache.l2.size"),
        ]
        var found: [DetectedAttribute] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty { break }
            guard let colon = line.firstIndex(of: ":") else { continue }
            let key = trimmed(line[..<colon])
            let value = trimmed(line[line.index(after: colon)...])
            guard let name = names.first(where: { $0.0 == key })?.1 else { continue }
            if name == "host.cpu.cache.l2.size" {
                guard let count = Int64(value.prefix(while: \.isNumber)) else { continue }
                found.append(DetectedAttribute(name, .int(count)))
            } else {
                found.append(DetectedAttribute(name, value))
            }
        }
        return found
    }

    /// From `/etc/os-release`.
    static func operatingSystem(_ text: String, _ kernel: SystemName) -> [DetectedAttribute] {
        var values: [String: String] = [:]
        for line in text.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            let value = line[line.index(after: equals)...].filter { $0 != "\"" && $0 != "'" }
            values[String(line[..<equals])] = String(value)
        }
        var found: [DetectedAttribute] = []
        if let name = values["NAME"] { found.append(DetectedAttribute("os.name", name)) }
        if let version = values["VERSION_ID"] { found.append(DetectedAttribute("os.version", version)) }
        found.append(DetectedAttribute("os.build.id", kernel.release))
        let pretty = values["PRETTY_NAME"] ?? "Linux"
        found.append(
            DetectedAttribute(
                "os.description",
                "\(pretty) (Linux \(kernel.node ?? "") \(kernel.release) \(kernel.version) \(kernel.machine))"
            ))
        return found
    }
}

/// What the kernel says of itself (`uname`).
struct SystemName {
    let node: String?
    let release: String
    let version: String
    let machine: String

    init() {
        var name = utsname()
        // SAFETY: the kernel fills the structure with C strings.
        let isKnown = unsafe uname(&name) == 0
        func text<Field>(_ field: Field) -> String {
            unsafe withUnsafeBytes(of: field) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
        }
        node = isKnown ? text(name.nodename) : nil
        release = text(name.release)
        version = text(name.version)
        machine = text(name.machine)
    }

    /// As the specification names architectures.
    var architecture: String {
        switch machine {
        case "x86_64": "amd64"
        case "aarch64": "arm64"
        case "i386", "i686": "x86"
        case let other where other.hasPrefix("armv"): "arm32"
        default: machine
        }
    }

    /// The canonical name that the resolver has for a name; nil when it has none. May block for seconds.
    static func canonical(_ name: String?) -> String? {
        guard let name, !name.isEmpty else { return nil }
        var hints = unsafe addrinfo()
        unsafe hints.ai_flags = AI_CANONNAME
        var list: UnsafeMutablePointer<addrinfo>?
        // SAFETY: the list is freed below, the name in it is copied.
        guard unsafe getaddrinfo(name, nil, &hints, &list) == 0, let first = unsafe list else { return nil }
        defer { unsafe freeaddrinfo(first) }
        return unsafe first.pointee.ai_canonname.map { unsafe String(cString: $0) }
    }
}

/// Addresses of the network interfaces that are up, without the loopback.
struct NetworkInterfaces {
    private(set) var names: [String] = []
    private(set) var addresses: [String] = []

    init() {
        var list: UnsafeMutablePointer<ifaddrs>?
        // SAFETY: the list is freed below, everything in it is copied.
        guard unsafe getifaddrs(&list) == 0 else { return }
        defer { unsafe freeifaddrs(list) }
        var next = unsafe list
        while let entry = unsafe next?.pointee {
            unsafe next = entry.ifa_next
            let flags = unsafe Int32(bitPattern: entry.ifa_flags)
            guard flags & Int32(IFF_UP) != 0, flags & Int32(IFF_LOOPBACK) == 0 else { continue }
            let name = unsafe String(cString: entry.ifa_name)
            if !names.contains(name) { names.append(name) }
            guard let address = unsafe entry.ifa_addr else { continue }
            unsafe add(address)
        }
    }

    private mutating func add(_ address: UnsafeMutablePointer<sockaddr>) {
        let family = unsafe Int32(address.pointee.sa_family)
        guard family == AF_INET || family == AF_INET6 else { return }
        let length = family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = unsafe getnameinfo(
            address, socklen_t(length), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard code == 0 else { return }
        // Without the zone behind a percent sign.
        let bytes = text.prefix { $0 != 0 && $0 != 0x25 }.map { UInt8(bitPattern: $0) }
        addresses.append(String(decoding: bytes, as: UTF8.self))
    }

    var attributes: [DetectedAttribute] {
        [("host.ip", addresses), ("host.interface", names)].compactMap { name, values in
            values.isEmpty ? nil : DetectedAttribute(name, .list(values.map { .string($0) }))
        }
    }
}
