import Configuration
import FileExporter
import Pipeline
import Testing

/// If one failed, a Collector's configuration would mean something else here.
struct FileExporterConfigTests {
    private func read(_ yaml: String) -> (FileExporterConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = FileExporterConfig(ConfigSection(yaml: yaml, path: "file", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    @Test func whatIsNotWrittenIsAsInTheCollector() {
        let (config, problems) = read("path: x")
        var expected = FileExporterConfig()
        expected.path = "x"
        #expect(problems.isEmpty && config == expected)
        #expect(config.format == .json && config.compression == .none && config.rotation == nil)
        #expect(!config.append && !config.createDirectory && config.directoryPermissions == 0o755)
        let rotation = read("{path: x, rotation: }").0.rotation
        #expect(rotation == FileExporterConfig.Rotation())
        #expect(rotation?.maxMegabytes == 100 && rotation?.maxDays == 0 && rotation?.maxBackups == 100)
    }

    @Test func everyKeyArrives() {
        let (config, problems) = read(
            """
            {path: /x/y.pb, format: proto, compression: gzip, append: true, create_directory: true,
             directory_permissions: "0700", group_by: {enabled: false, resource_attribute: x},
             rotation: {max_megabytes: 1, max_days: 2, max_backups: 3, localtime: true},
             sending_queue: {queue_size: 7}, retry_on_failure: {enabled: false}}
            """)
        #expect(problems.isEmpty)
        #expect(config.path == "/x/y.pb" && config.format == .proto && config.compression == .gzip)
        #expect(config.append && config.createDirectory && config.directoryPermissions == 0o700)
        #expect(config.rotation?.maxMegabytes == 1 && config.rotation?.maxDays == 2)
        #expect(config.rotation?.maxBackups == 3 && config.rotation?.localTime == true)
        #expect(config.sendingQueue.queueSize == 7 && !config.retryOnFailure.enabled)
    }

    @Test(arguments: [
        ("", "file: requires a non-empty \"path\""),
        ("path: ''", "file::path: requires a non-empty \"path\""),
        (
            "{path: x, compression: lz4}",
            "file::compression: unknown value \"lz4\"; must be none, gzip or zstd"
        ),
        ("{path: x, encoding: text}", "file::encoding: is not supported yet; write format: json or proto"),
        ("{path: x, group_by: {enabled: true}}", "file::group_by::enabled: group_by is not supported yet"),
        (
            "{path: x, flush_interval: 5s}",
            "file::flush_interval: has no effect: every batch is written at once"
        ),
        (
            "{path: x, directory_permissions: \"0999\"}",
            "file::directory_permissions: must be octal, between 0 and 0777, found \"0999\""
        ),
        (
            "{path: x, rotation: {max_megabytes: 0}}",
            "file::rotation::max_megabytes: must be between 1 and 1073741824, found 0"
        ),
        ("{path: x, max_days: 2}", "file: unknown key \"max_days\""),
    ])
    func mistakesAreNamed(yaml: String, expected: String) { #expect(read(yaml).1.contains(expected)) }
}
