package import Configuration

/// The keys of the `file_storage` extension.
package struct FileStorageConfig: Sendable, Equatable {
    /// Where the queues' folders are. Default /var/lib/otelcol/file_storage. Key `directory`.
    package var directory = "/var/lib/otelcol/file_storage"
    /// Makes the directory when it is missing. Default false. Key `create_directory`.
    package var createDirectory = false
    /// The permissions of what is made, octal. Default 0750. Key `directory_permissions`.
    package var directoryPermissions: UInt32 = 0o750
    /// Answers clients only when the disk has their data, not the system's memory alone: what is accepted outlives a
    /// power failure, not only the process. Default false. Key `fsync`.
    package var fsync = false
    /// Room of one queue on disk, in MiB. Default 1024. Key `max_size_mib`, which the Collector does not have, or
    /// in bytes `max_size`.
    package var maxSizeMib = 1024

    package init() {}

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        directory = section.string("directory", default: directory)
        if !directory.hasPrefix("/") {
            section.report(
                "directory", error: "\"\(directory)\" must be an absolute path, beginning with \"/\"")
        }
        createDirectory = section.bool("create_directory", default: false)
        let permissions = section.string("directory_permissions", default: "0750")
        if let bits = UInt32(permissions, radix: 8), bits <= 0o777 {
            directoryPermissions = bits
        } else {
            section.report(
                "directory_permissions", error: "\"\(permissions)\" is not an octal number up to 0777",
                help: "write \"0750\"")
        }
        fsync = section.bool("fsync", default: false)
        maxSizeMib = section.int("max_size_mib", default: maxSizeMib, in: 1...(1 << 24))
        if let bytes = section.optionalInt("max_size", in: 0...(1 << 44)), bytes > 0 {
            if section.has("max_size_mib") {
                section.report(
                    "max_size", error: "cannot be written together with max_size_mib",
                    help: "keep one of the two")
            }
            maxSizeMib = (bytes + (1 << 20) - 1) >> 20
        }
        // The Collector's database is locked and compacted; this log is neither.
        _ = section.duration("timeout", default: .seconds(1))
        _ = section.bool("recreate", default: true)
        if section.section("compaction") != nil { readCompaction(section) }
        section.finish()
    }

    private func readCompaction(_ section: ConfigSection) {
        section.ignored("compaction", "the space of what was sent is used again at once")
        section.section("compaction")?.allowAnyKey()
    }
}
