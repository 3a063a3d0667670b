internal import Glibc
internal import Pipeline

/// Why a file could not be used.
package enum FileError: Error, Sendable, Equatable, CustomStringConvertible {
    case cannotMakeFolder(path: String, errno: Int32)
    case cannotOpen(path: String, errno: Int32)
    /// Another exporter or process writes it: its lock is held.
    case inUse(path: String)
    case cannotWrite(path: String, errno: Int32)
    /// What a failed write left in the file cannot be cut off, so that nothing may follow it.
    case cannotCut(path: String, errno: Int32)
    case cannotRename(path: String, errno: Int32)
    case cannotSync(path: String, errno: Int32)

    package var description: String {
        switch self {
        case .cannotMakeFolder(let path, let code): "cannot make the folder \"\(path)\": \(Self.reason(code))"
        case .cannotOpen(let path, let code):
            "cannot open \"\(path)\" for writing: \(code == ELOOP ? OperatorFile.foreignLink : Self.reason(code))"
                + (code == ENOENT ? "; make its folder, or set create_directory" : "")
        case .inUse(let path):
            "\"\(path)\" is written by another exporter or process; give each a path of its own"
        case .cannotWrite(let path, let code): "cannot write to \"\(path)\": \(Self.reason(code))"
        case .cannotCut(let path, let code):
            "cannot cut a half-written batch off \"\(path)\": \(Self.reason(code))"
        case .cannotRename(let path, let code): "cannot rename \"\(path)\": \(Self.reason(code))"
        case .cannotSync(let path, let code): "cannot sync \"\(path)\" to the disk: \(Self.reason(code))"
        }
    }

    private static func reason(_ code: Int32) -> String {
        // SAFETY: a known code's text is static, an unknown one's belongs to this thread; copied at once.
        let text = unsafe strerror(code).map { unsafe String(cString: $0) }
        return text.map { "\($0) (errno \(code))" } ?? "errno \(code)"
    }
}
