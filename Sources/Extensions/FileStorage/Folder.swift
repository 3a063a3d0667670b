internal import Glibc
internal import Pipeline

/// What is done with the folder of a store. Blocks.
enum Folder {
    /// Makes a folder unless it is there.
    /// - Returns: whether it was not.
    @discardableResult
    static func make(_ path: String, permissions: UInt32) throws(StorageFault) -> Bool {
        if unsafe mkdir(path, permissions) == 0 { return true }
        guard errno == EEXIST else { throw StorageFault("create", path) }
        return false
    }

    /// Makes a folder and those around it unless they are there, so that the disk knows of them.
    static func makeAll(_ path: String, permissions: UInt32) throws(StorageFault) {
        var made = ""
        for part in path.split(separator: "/") {
            let parent = made
            made += "/\(part)"
            if try make(made, permissions: permissions) { try sync(parent.isEmpty ? "/" : parent) }
        }
    }

    /// The names in a folder.
    static func names(_ path: String) throws(StorageFault) -> [String] {
        guard let folder = unsafe opendir(path) else { throw StorageFault("read", path) }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        // SAFETY: an entry lives until the next call; its name is a NUL-ended text inside of it.
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }

    /// Waits until the disk knows the names in a folder.
    static func sync(_ path: String) throws(StorageFault) {
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StorageFault("open", path) }
        defer { _ = close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StorageFault("sync", path) }
    }
}

/// Holds a folder for this process, as long as it lives.
final class FolderLock: Sendable {
    private let descriptor: Int32

    /// - Throws: another process holds it, or the lock's file cannot be made.
    init(_ folder: String) throws(StorageFault) {
        let path = Self.path(folder)
        descriptor = OperatorFile.open(path, O_RDWR | O_CREAT | O_CLOEXEC, permissions: 0o640)
        guard descriptor >= 0 else { throw StorageFault("create", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw StorageFault("lock (is another gateway using it?)", path)
        }
    }

    deinit {
        _ = close(descriptor)
    }

    private static func path(_ folder: String) -> String { folder + "/lock" }

    /// Whether a process holds a folder. Changes nothing, but for the instant of the asking.
    static func isHeld(_ folder: String) throws(StorageFault) -> Bool {
        let path = path(folder)
        let descriptor = OperatorFile.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw StorageFault("open", path) }
            return false
        }
        defer { _ = close(descriptor) }
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return false }
        guard errno == EWOULDBLOCK else { throw StorageFault("lock", path) }
        return true
    }
}
