internal import Glibc

/// The environment of the process.
enum Environment {
    /// Nil when it is not set.
    static func variable(_ name: String) -> String? {
        // SAFETY: nobody changes the environment after the start; the text is copied.
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }
}
