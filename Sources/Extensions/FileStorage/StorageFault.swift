internal import Glibc
internal import Pipeline

/// Why a file or folder of a store cannot be used.
package struct StorageFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was tried, such as `write`.
    package let operation: String
    package let path: String
    /// `errno`.
    package let code: Int32

    init(_ operation: String, _ path: String, code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    package var description: String {
        if code == ELOOP { return "\(operation) \(path): \(OperatorFile.foreignLink)" }
        // SAFETY: strerror gives a NUL-ended text that lives until the thread's next call of it.
        return unsafe "\(operation) \(path): \(String(cString: strerror(code)))"
    }

    /// Whether there is no room left.
    var isFull: Bool { code == ENOSPC || code == EDQUOT }
}
