package import Configuration
package import Pipeline

/// The keys of the `file` exporter.
package struct FileExporterConfig: Sendable, Equatable {
    /// How batches are written.
    package enum Format: String, Sendable, CaseIterable {
        /// OTLP JSON, an object a line.
        case json
        /// `Export*ServiceRequest`s, each behind its length in four bytes, the highest first.
        case proto
    }

    /// How the file is compressed.
    package enum Compression: String, Sendable, CaseIterable {
        case none
        /// The whole file is gzip, of many members.
        case gzip
        /// Each batch is a frame behind its length in four bytes, the highest first, in either format.
        case zstd
    }

    /// `rotation`: when a new file is begun and which old ones are kept.
    package struct Rotation: Sendable, Equatable {
        /// Size in MiB that ends a file. Default 100, at least 1. Key `max_megabytes`.
        package var maxMegabytes = 100
        /// Days after which a file ends and old ones are removed; 0 = never. Default 0. Key `max_days`.
        package var maxDays = 0
        /// Old files kept; 0 = all. Default 100. Key `max_backups`.
        package var maxBackups = 100
        /// Names of old files hold the local time instead of UTC. Default false. Key `localtime`.
        package var localTime = false

        package init() {}
    }

    /// Where to write. Required. Key `path`.
    package var path = ""
    /// Default json. Key `format`.
    package var format: Format = .json
    /// Default none. Key `compression`.
    package var compression: Compression = .none
    /// nil = one file that grows, the default. Key `rotation`.
    package var rotation: Rotation?
    /// Keeps what the file holds at the start; so does `rotation`. Default false. Key `append`.
    package var append = false
    /// Makes the folders above the file. Default false. Key `create_directory`.
    package var createDirectory = false
    /// Permissions of folders that are made. Default 0755. Key `directory_permissions`, octal.
    package var directoryPermissions: UInt32 = 0o755
    /// Key `sending_queue`; the Collector's exporter has none.
    package var sendingQueue = SendingQueueConfig()
    /// Key `retry_on_failure`; the Collector's exporter has none.
    package var retryOnFailure = RetryConfig()

    package init() {}

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        section.misplaced(["max_megabytes", "max_days", "max_backups", "localtime"], under: "rotation")
        path = section.string("path", default: "")
        if path.isEmpty, !section.isBroken("path") {
            section.report(
                section.has("path") ? "path" : nil, error: "requires a non-empty \"path\"",
                help: "write path: ./telemetry.jsonl")
        }
        format = section.choice("format", default: .json)
        let word = section.choice("compression", of: ["none", "gzip", "zstd", ""], default: "none")
        compression = word.flatMap { Compression(rawValue: $0) } ?? .none
        rotation = section.section("rotation").map { Rotation($0) }
        append = section.bool("append", default: false)
        createDirectory = section.bool("create_directory", default: false)
        readPermissions(section)
        section.ignored("flush_interval", "every batch is written at once")
        if let group = section.section("group_by") {
            if group.bool("enabled", default: false) {
                group.report("enabled", error: "group_by is not supported yet", help: "write enabled: false")
            }
            group.allowAnyKey()
        }
        section.notSupportedYet("encoding", "write format: json or proto")
        sendingQueue = SendingQueueConfig(of: section)
        retryOnFailure = RetryConfig(of: section)
        section.finish()
    }

    private mutating func readPermissions(_ section: ConfigSection) {
        guard let text = section.optionalString("directory_permissions") else { return }
        guard let mode = UInt32(text, radix: 8), mode <= 0o777 else {
            section.report(
                "directory_permissions", error: "must be octal, between 0 and 0777, found \"\(text)\"",
                help: "write directory_permissions: \"0755\"")
            return
        }
        directoryPermissions = mode
    }
}

extension FileExporterConfig.Rotation {
    /// The most days whose nanoseconds fit into 64 bits.
    private static let daysMax = 100_000

    fileprivate init(_ section: ConfigSection) {
        maxMegabytes = section.int("max_megabytes", default: maxMegabytes, in: 1...(1 << 30))
        maxDays = section.int("max_days", default: maxDays, in: 0...Self.daysMax)
        maxBackups = section.int("max_backups", default: maxBackups)
        localTime = section.bool("localtime", default: false)
    }
}
