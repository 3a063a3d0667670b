import Glibc

/// Files of tests.
enum TestFile {
    static func remove(_ path: String) { unlink(path) }
    static func permit(_ path: String, _ mode: mode_t) { chmod(path, mode) }
}
