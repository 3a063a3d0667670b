internal import Configuration

/// The memory that this process may use, against which percentages count.
package enum TotalMemory {
    /// Where a total was found.
    package enum Source: String, Sendable {
        case cgroupV2 = "cgroup v2"
        case cgroupV1 = "cgroup v1"
        case host = "host"
    }

    /// The smallest limit of the process's control groups, or the host's memory when none is set or it is larger
    /// than the host's.
    ///
    /// - Parameter read: Reads a small file, nil when it cannot be read; the system's files unless a test brings
    ///   others.
    /// - Returns: Bytes, and where they were found; nil when not even the host's memory is known.
    package static func find(
        read: (String) -> String? = { path in try? ConfigEnvironment.process.file(path).get() }
    ) -> (bytes: Int, source: Source)? {
        let host = hostMemory(read("/proc/meminfo") ?? "")
        let groups = read("/proc/self/cgroup") ?? ""
        let limits = [
            smallest(groups, .cgroupV2, read).map { ($0, Source.cgroupV2) },
            smallest(groups, .cgroupV1, read).map { ($0, Source.cgroupV1) },
            host.map { ($0, Source.host) },
        ]
        return limits.compactMap { $0 }.min { $0.0 < $1.0 }.map { (bytes: $0.0, source: $0.1) }
    }

    private static func hostMemory(_ meminfo: String) -> Int? {
        for line in meminfo.split(separator: "\n") where line.hasPrefix("MemTotal:") {
            let words = line.split(separator: " ")
            guard words.count >= 2, let kibibytes = Int(words[1]) else { return nil }
            return kibibytes * 1024
        }
        return nil
    }

    /// The smallest limit of a group and all above it.
    private static func smallest(_ groups: String, _ version: Source, _ read: (String) -> String?) -> Int? {
        let isTwo = version == .cgroupV2
        let root = isTwo ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
        let file = isTwo ? "/memory.max" : "/memory.limit_in_bytes"
        var path = groupPath(groups, isTwo)
        var found: Int?
        while true {
            if let text = read(root + path + file), let bytes = Int(text.filter { !$0.isWhitespace }),
                bytes > 0
            {
                found = min(found ?? bytes, bytes)
            }
            guard let slash = path.lastIndex(of: "/") else { return found }
            path = String(path[..<slash])
        }
    }

    /// The group's path from a line such as `0::/a/b` or `5:cpu,memory:/a/b`, without a slash at the end.
    private static func groupPath(_ groups: String, _ isTwo: Bool) -> String {
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isMatch =
                isTwo
                ? parts[0] == "0" && parts[1].isEmpty : parts[1].split(separator: ",").contains("memory")
            guard isMatch else { continue }
            var path = String(parts[2])
            while path.last == "/" { path.removeLast() }
            return path
        }
        return ""
    }
}
