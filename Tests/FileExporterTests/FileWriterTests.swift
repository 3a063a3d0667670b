import Compression
import FileExporter
import Glibc
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

struct FileWriterTests {
    private let folder = Folder()

    /// If it failed, nobody could read the file: a line would not be a request, or not the one that was sent.
    @Test func aLineIsARequest() async throws {
        let path = folder("all.jsonl")
        let writer = try makeWriter(path)
        var expected: [String] = []
        for signal in Signal.allCases {
            let request = RequestBuilder.make(signal, items: 3)
            #expect(await writer.write(batch(signal, request)) == .written)
            expected.append(json(signal, request))
        }
        let (first, second) = (
            RequestBuilder.makeTraces(spans: 1), RequestBuilder.makeTraces(spans: 2, seed: 2)
        )
        #expect(await writer.write(batch(.traces, first, second)) == .written)
        await writer.close()
        #expect(lines(of: path) == expected + [json(.traces, first + second), ""])
    }

    /// If it failed, the Collector's tools could not read the file.
    @Test func protobufStandsBehindItsLength() async throws {
        let path = folder("all.pb")
        let writer = try makeWriter(path) { $0.format = .proto }
        let requests = [1, 700, 2].map { RequestBuilder.makeLogs(records: $0) }
        for request in requests { #expect(await writer.write(batch(.logs, request)) == .written) }
        await writer.close()
        var rest = contents(of: path)[...]
        for request in requests {
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            #expect(count == request.count)
            #expect(Array(rest.dropFirst(4).prefix(count)) == request)
            rest = rest.dropFirst(4 + count)
        }
        #expect(rest.isEmpty)
    }

    /// If it failed, `zcat` would not show the lines.
    @Test func gzip() async throws {
        let path = folder("all.jsonl.gz")
        let writer = try makeWriter(path) { $0.compression = .gzip }
        let requests = [1, 500, 1].map { RequestBuilder.makeTraces(spans: $0) }
        for request in requests { #expect(await writer.write(batch(.traces, request)) == .written) }
        await writer.close()
        let compressed = contents(of: path)
        var plain = ByteBuffer()
        _ = try Gunzipper().inflate(
            compressed.span.bytes, as: .gzip, limitBytes: 10 << 20,
            appending: { plain.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1) })
        #expect(compressed.count < plain.readableBytes / 2)
        let expected = requests.map { json(.traces, $0) + "\n" }.joined()
        #expect(String(buffer: plain) == expected)
    }

    /// If it failed, readers of the Collector's compressed files could not read ours.
    @Test(arguments: FileExporterConfig.Format.allCases)
    func zstd(format: FileExporterConfig.Format) async throws {
        let path = folder("all.zst")
        let writer = try makeWriter(path) {
            $0.format = format
            $0.compression = .zstd
        }
        let requests = [1, 900, 1].map { RequestBuilder.makeTraces(spans: $0) }
        for request in requests { #expect(await writer.write(batch(.traces, request)) == .written) }
        await writer.close()
        let file = contents(of: path)
        #expect(file.count < requests.joined().count / 2)
        #expect(
            try unframed(file)
                == requests.map { format == .json ? Array(json(.traces, $0).utf8) : $0 })
    }

    /// If it failed, a restart would lose the old data of whoever said `append`, or mix it for whoever did not.
    @Test(arguments: [(false, false, false), (true, false, true), (false, true, true)])
    func whatAFileHeldBefore(append: Bool, rotation: Bool, isKept: Bool) async throws {
        let path = folder("old.jsonl")
        put("old\n", into: path)
        let writer = try makeWriter(path) {
            $0.append = append
            $0.rotation = rotation ? FileExporterConfig.Rotation() : nil
        }
        #expect(await writer.write(batch(.logs, [])) == .written)
        await writer.close()
        #expect(lines(of: path) == (isKept ? ["old", "{}", ""] : ["{}", ""]))
    }

    /// If it failed, the first batch after a crash would be glued to half a line, and be lost with it.
    @Test func halfALineIsEnded() async throws {
        let path = folder("half.jsonl")
        put("{\"resourceLogs\":[", into: path)
        for _ in 0..<2 {
            let writer = try makeWriter(path) { $0.append = true }
            #expect(await writer.write(batch(.logs, [])) == .written)
            await writer.close()
        }
        #expect(lines(of: path) == ["{\"resourceLogs\":[", "{}", "{}", ""])
    }

    /// If it failed, two exporters, or two gateways, would write into each other's lines.
    @Test func aFileHasOneWriter() async throws {
        let path = folder("one.jsonl")
        let writer = try makeWriter(path)
        #expect(await writer.write(batch(.logs, [])) == .written)
        #expect(throws: FileError.inUse(path: path)) { _ = try makeWriter(path) }
        #expect(lines(of: path) == ["{}", ""], "the second one has cut the file")
        await writer.close()
        let next = try makeWriter(path)
        await next.close()
    }

    /// Scenario: somebody else has put a link where the gateway's file should be. If it failed, that user would have the
    /// gateway write where only the gateway may. The operator's own links are followed.
    @Test(.enabled(if: geteuid() == 0, "only root can make another user's link"))
    func linksOfOthersAreNotFollowed() async throws {
        let (path, target) = (folder("link.jsonl"), folder("target"))
        put("mine", into: target)
        #expect(symlink(target, path) == 0)
        #expect(lchown(path, 65_534, 65_534) == 0)
        let error = FileError.cannotOpen(path: path, errno: ELOOP)
        #expect(throws: error) { _ = try makeWriter(path) }
        #expect("\(error)".contains("symbolic link of another user"))
        #expect(contents(of: target) == Array("mine".utf8))
        #expect(lchown(path, 0, 0) == 0)
        let writer = try makeWriter(path)
        await writer.close()
    }

    @Test func foldersAreMadeWhenAsked() async throws {
        let path = folder("a/b/c.jsonl")
        #expect(throws: FileError.cannotOpen(path: path, errno: ENOENT)) { _ = try makeWriter(path) }
        let writer = try makeWriter(path) {
            $0.createDirectory = true
            $0.directoryPermissions = 0o700
        }
        await writer.close()
        var status = stat()
        #expect(stat(folder("a/b"), &status) == 0 && status.st_mode & 0o777 == 0o700)
        put("", into: folder("plain"))
        #expect(throws: FileError.cannotOpen(path: folder("plain/x"), errno: ENOTDIR)) {
            _ = try makeWriter(folder("plain/x")) { $0.createDirectory = true }
        }
    }

    @Test func aDeviceThatIsFull() async throws {
        let writer = try makeWriter("/dev/full")
        let result = await writer.write(batch(.logs, RequestBuilder.makeLogs(records: 1)))
        await writer.close()
        guard case .failed(let message) = result else {
            Issue.record("written to a full device")
            return
        }
        #expect(message.hasPrefix("cannot write to \"/dev/full\": No space left on device"))
    }

    /// If it failed, files would grow without end, lose what they held, or old ones would be kept for ever.
    @Test func rotationKeepsEveryLineAndSoManyFiles() async throws {
        let path = folder("data.jsonl")
        let now = Noted<Int64>(1_700_000_000_000)
        let request = RequestBuilder.makeLogs(records: 850)
        let line = json(.logs, request)
        // Three fill a file, two do not.
        #expect((350_000..<520_000).contains(line.utf8.count))
        let writer = try makeWriter(path, now: now) {
            $0.rotation = FileExporterConfig.Rotation()
            $0.rotation?.maxMegabytes = 1
            $0.rotation?.maxBackups = 2
        }
        for index in 0..<9 {
            now.value += 1000
            #expect(await writer.write(batch(.logs, request)) == .written)
            let files = folder.names.count
            #expect(files == min(3, 1 + index / 3))
        }
        // Three at once, none of which fits any more.
        #expect(
            await writer.write([Batch](repeating: batch(.logs, request), count: 3)) == [
                .written, .written, .written,
            ])
        await writer.close()
        #expect(
            folder.names == [
                "data-2023-11-14T22-13-27.000.jsonl", "data-2023-11-14T22-13-29.000.jsonl", "data.jsonl",
            ])
        for name in folder.names {
            #expect((lines(of: folder(name)) == [line, line, line, ""]) as Bool, "\(name)")
        }
    }

    @Test func filesEndWithTheirDays() async throws {
        let path = folder("data")
        let now = Noted<Int64>(1_700_000_000_000)
        let writer = try makeWriter(path, now: now) {
            $0.rotation = FileExporterConfig.Rotation()
            $0.rotation?.maxDays = 1
        }
        #expect(await writer.write(batch(.logs, [])) == .written)
        now.value += 86_399_000
        #expect(await writer.write(batch(.logs, [])) == .written)
        #expect(folder.names == ["data"])
        now.value += 1000
        #expect(await writer.write(batch(.logs, [])) == .written)
        #expect(folder.names == ["data", "data-2023-11-15T22-13-20.000"])
        now.value += 86_401_000
        #expect(await writer.write(batch(.logs, [])) == .written)
        await writer.close()
        // The one before is older than a day by now.
        #expect(folder.names == ["data", "data-2023-11-16T22-13-21.000"])
    }

    /// If it failed, what the queue has accepted would not be in the file, or not be counted.
    @Test func aQueueStopsWithEverythingWritten() async throws {
        let path = folder("queue.jsonl")
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        var queues: [SendingQueue] = []
        var counters: [SendingQueue.Counters] = []
        let writer = try {
            var config = FileExporterConfig()
            config.path = path
            return try FileWriter(
                config, name: "file", registry: MetricRegistry(), logger: makeSilentLogger())
        }()
        for signal in Signal.allCases {
            let counter = SendingQueue.Counters(MetricRegistry(), exporter: "file", signal: signal)
            counters.append(counter)
            queues.append(
                SendingQueue(
                    name: "file", config: SendingQueueConfig(), retry: RetryConfig(), timeout: .zero,
                    sender: FileSender(writer, eventLoop: loop), counters: counter, eventLoop: loop,
                    logger: makeSilentLogger()))
        }
        for _ in 0..<50 {
            for (queue, signal) in zip(queues, Signal.allCases) {
                let request = RequestBuilder.make(signal, items: 2)
                #expect(queue.consume(batch(signal, request, items: 2)) == nil)
            }
        }
        for queue in queues { #expect(await queue.drain(until: .now() + .seconds(60)) == 0) }
        #expect(counters.map(\.sent.value) == [100, 100, 100])
        #expect(lines(of: path).count == 151)
        try await group.shutdownGracefully()
    }
}
