internal import Glibc
internal import Pipeline

/// The names of ended files, and which of them are removed: `data.jsonl` becomes `data-2026-11-24T05-02-14.173.jsonl`.
struct FileRotation: Sendable {
    private let folder: String
    private let stem: String
    /// With its dot; empty for none.
    private let ending: String
    private let config: FileExporterConfig.Rotation

    init(path: String, config: FileExporterConfig.Rotation) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        folder = slash.map { String(path[...$0]) } ?? ""
        let name = slash.map { path[path.utf8.index(after: $0)...] } ?? path[...]
        // A dot in front is no ending: `.telemetry`.
        let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")).flatMap { $0 > name.startIndex ? $0 : nil }
        stem = String(name[..<(dot ?? name.endIndex)])
        ending = String(name[(dot ?? name.endIndex)...])
        self.config = config
    }

    /// Whether a file of this size and age has ended.
    /// - Parameter ageSeconds: since it was begun.
    func isDue(bytes: Int, ageSeconds: Int) -> Bool {
        guard bytes > 0 else { return false }
        return bytes >= config.maxMegabytes << 20
            || (config.maxDays > 0 && ageSeconds >= config.maxDays * 86_400)
    }

    /// A name that no file has, for a file that ends at a moment.
    func endedPath(unixMilliseconds: Int64) -> String {
        var moment = unixMilliseconds
        while true {
            let path = folder + stem + "-" + stamp(moment) + ending
            // SAFETY: the path is a C string for the call.
            if unsafe access(path, F_OK) != 0 { return path }
            moment += 1
        }
    }

    private func stamp(_ unixMilliseconds: Int64) -> String {
        var moment = unixMilliseconds
        if config.localTime {
            var seconds = time_t(unixMilliseconds / 1000)
            var local = unsafe tm()
            // SAFETY: fills `local`, which outlives the call.
            if unsafe localtime_r(&seconds, &local) != nil { moment += Int64(unsafe local.tm_gmtoff) * 1000 }
        }
        // 2026-11-24T05:02:14.173Z
        let text = UTCTime(unixMilliseconds: moment).iso8601Milliseconds
        return String(text.map { $0 == ":" ? "-" : $0 }.dropLast())
    }

    /// The ended files that the limits no longer allow, of the names in the folder.
    /// - Parameter now: milliseconds since 1970.
    func surplus(of names: [String], unixMilliseconds now: Int64) -> [String] {
        let ended = names.filter { stamp(of: $0) != nil }.sorted(by: >)
        var surplus: [String] = []
        for (index, name) in ended.enumerated() {
            let isOneTooMany = config.maxBackups > 0 && index >= config.maxBackups
            let oldest = stamp(now - Int64(config.maxDays) * 86_400_000)
            // Stamps of one length sort as the moments do.
            let isTooOld = config.maxDays > 0 && stamp(of: name)! < oldest
            if isOneTooMany || isTooOld { surplus.append(folder + name) }
        }
        return surplus
    }

    /// What stands between stem and ending, when it is a stamp.
    private func stamp(of name: String) -> String? {
        guard name.hasPrefix(stem + "-"), name.hasSuffix(ending) else { return nil }
        let stamp = name.utf8.dropFirst(stem.utf8.count + 1).dropLast(ending.utf8.count)
        let pattern = "0000-00-00T00-00-00.000".utf8
        guard stamp.count == pattern.count else { return nil }
        for (byte, expected) in zip(stamp, pattern) {
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            guard expected == UInt8(ascii: "0") ? isDigit : byte == expected else { return nil }
        }
        return String(Substring(stamp))
    }

    /// Removes what the limits no longer allow.
    /// - Returns: the files that are gone.
    func prune(unixMilliseconds now: Int64) -> [String] {
        surplus(of: names(), unixMilliseconds: now).filter { path in
            // SAFETY: the path is a C string for the call.
            unsafe unlink(path) == 0
        }
    }

    private func names() -> [String] {
        // SAFETY: the path is a C string for the call; the directory is closed before it goes out of scope.
        guard let directory = unsafe opendir(folder.isEmpty ? "." : folder) else { return [] }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            // SAFETY: the name is a C string in the entry, which lives until the next call.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }
}
