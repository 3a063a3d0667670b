import Configuration
import FileStorage
import OTLP
import Testing

@Suite("file_storage")
struct FileStorageConfigTests {
    private func read(_ yaml: String) -> (FileStorageConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = FileStorageConfig(
            ConfigSection(yaml: yaml, path: "file_storage", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test("the Collector's keys are read; what has no effect is said")
    func keys() {
        let (config, problems) = read(
            "{directory: /x, create_directory: true, directory_permissions: \"0700\", fsync: true, timeout: 2s, max_size_mib: 7}"
        )
        #expect(problems.isEmpty && config.directory == "/x" && config.createDirectory && config.fsync)
        #expect(config.directoryPermissions == 0o700 && config.maxSizeMib == 7)
        #expect(read("").0 == FileStorageConfig())
        #expect(read("compaction: {on_start: true, check_interval: 5s}").1.count == 1)
    }

    @Test(
        "a store that could not work is refused",
        arguments: [
            (
                "directory: queue",
                "file_storage::directory: \"queue\" must be an absolute path, beginning with \"/\""
            ),
            (
                "directory_permissions: \"888\"",
                "file_storage::directory_permissions: \"888\" is not an octal number up to 0777"
            ),
            ("max_size_mib: 0", "file_storage::max_size_mib: must be between 1 and 16777216, found 0"),
        ])
    func broken(yaml: String, message: String) {
        #expect(read(yaml).1 == [message])
    }

    @Test("exporters whose names differ have folders that differ, whatever the names are")
    func folders() {
        var config = FileStorageConfig()
        config.directory = "/q"
        func folder(_ name: String) -> String {
            SegmentStore.Settings(config, exporter: name, signal: .logs).folder
        }
        #expect(folder("otlp_grpc") == "/q/exporter_otlp_grpc_logs")
        #expect(folder("otlp/../x") == "/q/exporter_otlp%2f%2e%2e%2fx_logs")
        #expect(folder("otlp/a") != folder("otlp%2fa"))
    }
}
