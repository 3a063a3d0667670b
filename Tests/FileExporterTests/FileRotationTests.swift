import Testing

@testable import FileExporter

/// If one failed, an ended file would have another name than the Collector gives it, or the wrong ones be removed.
struct FileRotationTests {
    private func rotation(
        _ path: String, megabytes: Int = 1, days: Int = 0, backups: Int = 100
    ) -> FileRotation {
        var config = FileExporterConfig.Rotation()
        config.maxMegabytes = megabytes
        config.maxDays = days
        config.maxBackups = backups
        return FileRotation(path: path, config: config)
    }

    @Test(arguments: [
        ("/no/data.json", "/no/data-2022-09-14T05-02-14.173.json"),
        ("/no/data", "/no/data-2022-09-14T05-02-14.173"),
        ("no/a.b/data.x.gz", "no/a.b/data.x-2022-09-14T05-02-14.173.gz"),
        ("no/a.b/data", "no/a.b/data-2022-09-14T05-02-14.173"),
        ("no/.hidden", "no/.hidden-2022-09-14T05-02-14.173"),
        ("data.jsonl", "data-2022-09-14T05-02-14.173.jsonl"),
    ])
    func names(path: String, ended: String) {
        #expect(rotation(path).endedPath(unixMilliseconds: 1_663_131_734_173) == ended)
    }

    @Test func aNameThatIsTakenIsNotTakenAgain() {
        let folder = Folder()
        put("", into: folder("data-2022-09-14T05-02-14.173.json"))
        put("", into: folder("data-2022-09-14T05-02-14.174.json"))
        let ended = rotation(folder("data.json")).endedPath(unixMilliseconds: 1_663_131_734_173)
        #expect(ended == folder("data-2022-09-14T05-02-14.175.json"))
    }

    @Test(arguments: [
        (0, 1_000_000, 1, false), (1, 0, 1, false), (1 << 20, 0, 0, true), (1 << 20 - 1, 0, 0, false),
        (1, 86_399, 1, false), (1, 86_400, 1, true), (1, 1_000_000, 0, false),
    ])
    func whenAFileEnds(bytes: Int, age: Int, days: Int, isDue: Bool) {
        #expect(rotation("x", days: days).isDue(bytes: bytes, ageSeconds: age) == isDue)
    }

    @Test func onlyEndedFilesOfThisPathAreRemoved() {
        let names = [
            "data.json", "data-2022-09-14T05-02-14.173.json", "data-2022-09-15T05-02-14.173.json",
            "data-2022-09-16T05-02-14.173.json", "data-notes.json", "data-2022-09-14T05-02-14.173.json.bak",
            "data-2022-09-14T05-02-14x173.json", "other-2022-09-14T05-02-14.173.json",
            "data-2022-09-14T05-02-14.173-2022-09-14T05-02-14.173.json", "data-.json",
        ]
        let now: Int64 = 1_663_131_734_173 + 2 * 86_400_000  // 2022-09-16T05:02:14.173
        #expect(rotation("f/data.json").surplus(of: names, unixMilliseconds: now) == [])
        #expect(
            rotation("f/data.json", backups: 1).surplus(of: names, unixMilliseconds: now) == [
                "f/data-2022-09-15T05-02-14.173.json", "f/data-2022-09-14T05-02-14.173.json",
            ])
        #expect(
            rotation("data.json", days: 1).surplus(of: names, unixMilliseconds: now)
                == ["data-2022-09-14T05-02-14.173.json"])
        #expect(rotation("data.json", backups: 0).surplus(of: names, unixMilliseconds: now) == [])
    }
}
