#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Why a file of the configuration could not be read.
package enum ConfigFileError: Error, Equatable {
    /// The system's reason, such as "No such file or directory".
    case unreadable(reason: String)
    case tooLarge(limit: Int)
    case notUTF8

    /// The reason in words.
    package var message: String {
        switch self {
        case .unreadable(let reason): "cannot be read: \(reason)"
        case .tooLarge(let limit): "is larger than \(limit) bytes"
        case .notUTF8: "is not valid UTF-8 text"
        }
    }
}

/// What loading a configuration reads besides its arguments; tests bring their own.
package struct ConfigEnvironment: Sendable {
    /// The value of an environment variable, nil when it is not set.
    package var variable: @Sendable (String) -> String?
    /// The text of a file.
    package var file: @Sendable (String) -> Result<String, ConfigFileError>
    /// The text that a server answers with, by URL. Blocks.
    package var url: @Sendable (String) -> Result<String, ConfigFileError>

    package init(
        variable: @escaping @Sendable (String) -> String?,
        file: @escaping @Sendable (String) -> Result<String, ConfigFileError>,
        url: @escaping @Sendable (String) -> Result<String, ConfigFileError> = { _ in
            .failure(.unreadable(reason: "nobody here asks servers"))
        }
    ) {
        self.variable = variable
        self.file = file
        self.url = url
    }

    /// This process's variables and file system.
    package static let process = ConfigEnvironment(
        variable: { name in
            // SAFETY: getenv's text is copied at once; nothing here changes the environment while loading.
            guard let value = unsafe getenv(name) else { return nil }
            return unsafe String(cString: value)
        },
        file: { path in
            do throws(ConfigFileError) {
                return .success(try readFile(path))
            } catch {
                return .failure(error)
            }
        })
}

/// Files and answers larger than this are refused: no configuration is, and a device file never ends.
package let largestConfigFile = 16 << 20

private func readFile(_ path: String) throws(ConfigFileError) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unreadable(reason: systemReason()) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        // SAFETY: read writes at most `count` bytes into the chunk, which lives through the call.
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        if count < 0 {
            if errno == EINTR { continue }
            throw .unreadable(reason: systemReason())
        }
        if count == 0 { break }
        bytes.append(contentsOf: chunk[..<count])
        guard bytes.count <= largestConfigFile else { throw .tooLarge(limit: largestConfigFile) }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .notUTF8 }
    return text
}

private func systemReason() -> String {
    // SAFETY: strerror's text is copied at once, on the one thread that loads.
    guard let reason = unsafe strerror(errno) else { return "unknown error" }
    return unsafe String(cString: reason)
}
