internal import Configuration
internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOPosix

/// One entry of `file_sd_configs`.
struct FileDiscoveryConfig: Sendable, Equatable {
    /// Paths, the last part of which may have `*`; must end with `.json`, `.yml` or `.yaml`. Required. Key `files`.
    var files: [String] = []
    /// The longest time until a change is noticed. Default 5m; changes are looked for every five seconds in any case.
    /// Key `refresh_interval`.
    var refreshInterval = Duration.seconds(300)

    init(files: [String]) { self.files = files }

    init(_ section: ConfigSection) {
        files = section.scalarList("files") ?? []
        if files.isEmpty { section.report(section.has("files") ? "files" : nil, error: "requires \"files\"") }
        for file in files where ![".json", ".yml", ".yaml"].contains(where: file.hasSuffix) {
            section.report("files", error: "\"\(file)\" must end with .json, .yml or .yaml")
        }
        refreshInterval = section.prometheusDuration("refresh_interval") ?? refreshInterval
    }
}

/// `file_sd_configs`: reads target groups from files, and again when they change.
///
/// Files are looked at on another thread. One that cannot be read keeps the targets that it had.
final class FileDiscovery: Discovery {
    /// What is looked at to see whether a file has changed.
    struct Stamp: Equatable, Sendable {
        var inode: UInt64
        var size: Int64
        var seconds: Int
        var nanoseconds: Int
    }

    /// A file as it was read.
    struct File: Equatable, Sendable {
        var stamp: Stamp
        /// nil when it could not be read then.
        var groups: [TargetGroup]?
        var problem: String?
    }

    private static let pollInterval = Duration.seconds(5)

    private let config: FileDiscoveryConfig
    private let eventLoop: any EventLoop
    private let logger: Logger
    private var files: [String: File] = [:]
    private var update: (([TargetGroup]) -> Void)?
    private var timer: Scheduled<Void>?

    init(_ config: FileDiscoveryConfig, eventLoop: any EventLoop, logger: Logger) {
        self.config = config
        self.eventLoop = eventLoop
        self.logger = logger
    }

    func start(_ update: @escaping ([TargetGroup]) -> Void) {
        self.update = update
        poll()
    }

    func stop() {
        update = nil
        timer?.cancel()
    }

    private func poll() {
        let patterns = config.files
        let stamps = files.mapValues(\.stamp)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            Self.look(patterns, known: stamps)
        }.whenComplete { result in
            let discovery = bound.value
            // Fails only when the pool is shut down, with the process.
            if case .success(let found) = result { discovery.take(found) }
            guard discovery.update != nil else { return }
            discovery.timer = discovery.eventLoop.scheduleTask(
                in: TimeAmount(min(discovery.config.refreshInterval, Self.pollInterval))
            ) { bound.value.poll() }
        }
    }

    private func take(_ found: Found) {
        guard let update else { return }
        var isChanged = files.keys.contains { !found.paths.contains($0) }
        files = files.filter { found.paths.contains($0.key) }
        for (path, file) in found.changed {
            var file = file
            if let problem = file.problem {
                let rest =
                    files[path]?.groups == nil ? "It gives no targets." : "The targets that it had are kept."
                logger.warning(
                    "Target file cannot be used. \(rest)",
                    metadata: ["file": "\(path)", "error": "\(problem)"])
                file.groups = files[path]?.groups
            }
            isChanged = isChanged || file.groups != files[path]?.groups
            files[path] = file
        }
        guard isChanged else { return }
        update(files.sorted { $0.key < $1.key }.flatMap { $0.value.groups ?? [] })
    }

    // MARK: - On another thread

    /// What a look at the files gave.
    struct Found: Sendable {
        var paths: Set<String> = []
        /// Files that are new or not as they were.
        var changed: [String: File] = [:]
    }

    /// Looks at all files, and reads those that are not as they were. Blocks.
    static func look(_ patterns: [String], known: [String: Stamp]) -> Found {
        var found = Found()
        for path in patterns.flatMap(paths) {
            guard let stamp = stamp(path), found.paths.insert(path).inserted, known[path] != stamp else {
                continue
            }
            found.changed[path] = read(path, stamp)
        }
        return found
    }

    private static func paths(_ pattern: String) -> [String] {
        guard pattern.contains("*") || pattern.contains("?") || pattern.contains("[") else {
            return [pattern]
        }
        var result = unsafe glob_t()
        defer { unsafe globfree(&result) }
        // SAFETY: the pattern is a C string for the call; the paths are copied before they are freed.
        guard unsafe glob(pattern, 0, nil, &result) == 0 else { return [] }
        return unsafe (0..<Int(result.gl_pathc)).compactMap { index in
            unsafe result.gl_pathv[index].map { unsafe String(cString: $0) }
        }
    }

    private static func stamp(_ path: String) -> Stamp? {
        var status = stat()
        // SAFETY: the kernel writes one `stat`.
        guard unsafe stat(path, &status) == 0 else { return nil }
        return Stamp(
            inode: UInt64(status.st_ino), size: Int64(status.st_size), seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec)
    }

    private static func read(_ path: String, _ stamp: Stamp) -> File {
        var file = File(stamp: stamp)
        guard stamp.size <= fileBytesMax else {
            file.problem = "it has \(stamp.size) bytes, more than \(fileBytesMax)"
            return file
        }
        guard let bytes = SmallFile.read(path, bytesMax: fileBytesMax),
            let text = String(validating: bytes, as: UTF8.self)
        else {
            file.problem = "it cannot be read as UTF-8"
            return file
        }
        let diagnostics = Diagnostics()
        guard let sections = ConfigSection.list(yaml: text, name: path, diagnostics: diagnostics) else {
            file.problem = diagnostics.items.first?.rendered ?? "it is not a list of target groups"
            return file
        }
        let groups = sections.enumerated().map { index, section in
            var group = TargetGroup(section, source: "\(path):\(index)")
            group.labels["__meta_filepath"] = path
            section.finish()
            return group
        }
        if diagnostics.hasErrors {
            file.problem = diagnostics.items.first?.rendered
        } else {
            file.groups = groups
        }
        return file
    }

    private static let fileBytesMax = 16 << 20
}
