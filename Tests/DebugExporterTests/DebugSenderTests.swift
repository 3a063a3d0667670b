import Configuration
import Glibc
import Logging
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import Synchronization
import TestSupport
import Testing

@testable import DebugExporter

/// Without these what is shown would not be what was sent, or showing it would cost others their telemetry.
@Suite struct DebugSenderTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.any()

    /// Sends batches one after the other without waiting, and gives the results in order.
    private func send(_ batches: [Batch], with sender: DebugSender) async throws -> [SendResult] {
        let futures = try await loop.submit {
            batches.map { batch in
                let promise = loop.makePromise(of: SendResult.self)
                let isInside = Mutex(true)
                sender.send(batch, deadline: .distantFuture) { result in
                    #expect(!isInside.withLock { $0 }, "called back inside the call")
                    promise.succeed(result)
                }
                isInside.withLock { $0 = false }
                return promise.futureResult
            }
        }.get()
        var results: [SendResult] = []
        for future in futures { results.append(try await future.get()) }
        return results
    }

    private func named(_ name: String) -> Batch {
        batch(.traces, [request { $0.message(2) { $0.text(5, name) } }], items: 1)
    }

    private func config(_ verbosity: DebugConfig.Verbosity, paths: [String]? = nil) -> DebugConfig {
        var config = DebugConfig()
        config.verbosity = verbosity
        if let paths {
            config.useInternalLogger = false
            config.outputPaths = paths
        }
        return config
    }

    private func temporaryPath() -> String { "/tmp/sluice-debug-test-\(UInt64.random(in: .min ... .max))" }

    private func read(_ path: String) throws -> String {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    @Test(arguments: [
        (DebugConfig.Verbosity.basic, ["Traces resource spans=1 spans=1"]),
        (.normal, ["Traces resource spans=1 spans=1", "ResourceTraces #0\nScopeTraces #0\na  \n"]),
    ])
    func theLogIsWritten(verbosity: DebugConfig.Verbosity, lines: [String]) async throws {
        let journal = Journal()
        let sender = try DebugSender(
            config(verbosity), signal: .traces, eventLoop: loop, logger: journal.logger())
        let results = try await send([named("a")], with: sender)
        #expect(results.map(\.isSent) == [true])
        #expect(journal.lines == lines)
    }

    @Test func aLogThatIsTooQuietCostsNothing() async throws {
        let journal = Journal()
        let sender = try DebugSender(
            config(.detailed), signal: .traces, eventLoop: loop, logger: journal.logger(.warning))
        #expect(try await send([named("a")], with: sender).map(\.isSent) == [true])
        #expect(journal.lines.isEmpty)
    }

    /// Scenario: many batches at once, into two files that one of has text already.
    /// Guarantees: all of them, whole, in order, and what was there stays.
    @Test func filesAreWrittenInOrder() async throws {
        let paths = [temporaryPath(), temporaryPath()]
        defer { for path in paths { unlink(path) } }
        let before = try #require(fopen(paths[1], "w"))
        fputs("before\n", before)
        fclose(before)
        let names = (0..<50).map { "span-\($0)" }
        do {
            let sender = try DebugSender(
                config(.normal, paths: paths), signal: .traces, eventLoop: loop, logger: Journal().logger())
            let results = try await send(names.map(named), with: sender)
            #expect(results.filter(\.isSent).count == names.count)
            try await sender.close().get()
        }
        let summary = "Traces\t{\"resource spans\": 1, \"spans\": 1}\n"
        let expected = names.map { "\(summary)ResourceTraces #0\nScopeTraces #0\n\($0)  \n\n" }.joined()
        #expect(try read(paths[0]) == expected)
        #expect(try read(paths[1]) == "before\n" + expected)
    }

    /// Scenario: a full disk.
    /// Guarantees: the batch counts as failed, and the message says what and where; the other path gets its text.
    @Test func aFailureIsAFailure() async throws {
        let path = temporaryPath()
        defer { unlink(path) }
        let sender = try DebugSender(
            config(.basic, paths: ["/dev/full", path]), signal: .traces, eventLoop: loop,
            logger: Journal().logger())
        let result = try #require(try await send([named("a")], with: sender).first)
        guard case .permanent(let message, _) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(message.contains("cannot write to \"/dev/full\": No space left on device"))
        #expect(try read(path) == "Traces\t{\"resource spans\": 1, \"spans\": 1}\n")
    }

    /// If it failed, every user of the machine could read the telemetry.
    @Test func onlyTheOwnerMayRead() async throws {
        let path = temporaryPath()
        unlink(path)
        defer { unlink(path) }
        let sender = try DebugSender(
            config(.basic, paths: [path]), signal: .logs, eventLoop: loop, logger: Journal().logger())
        try await sender.close().get()
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test func aPathThatCannotBeOpenedStopsTheStart() {
        let path = "/nowhere/at/all"
        #expect(throws: DebugOutputError.cannotOpen(path: path, errno: ENOENT)) {
            try DebugSender(
                config(.basic, paths: ["stdout", path]), signal: .logs, eventLoop: loop,
                logger: Journal().logger())
        }
        #expect(throws: DebugOutputError.noPath) {
            try DebugSender(
                config(.basic, paths: []), signal: .logs, eventLoop: loop, logger: Journal().logger())
        }
        let text = DebugOutputError.cannotOpen(path: path, errno: ENOENT).description
        #expect(text.contains("output_paths") && text.contains(path) && text.contains("No such file"))
    }

    /// Scenario: a pipe that is filled beyond its size before it is read, as it is and non-blocking.
    /// Guarantees: the exporter waits for its reader and loses nothing.
    @Test(arguments: [0, O_NONBLOCK])
    func aSlowReaderIsWaitedFor(flags: Int32) async throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        #expect(fcntl(writer, F_SETFL, flags | O_WRONLY) == 0)
        defer { close(reader) }
        let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 300_000)
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        let written = pool.runIfActive(eventLoop: loop) { DebugPaths.write(bytes, to: writer) }
        var received = 0
        var buffer = [UInt8](repeating: 0, count: 4096)
        while received < bytes.count {
            var request = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, 10_000) > 0 else { break }
            received += max(0, Glibc.read(reader, &buffer, buffer.count))
        }
        #expect(received == bytes.count)
        #expect(try await written.get() == 0)
        close(writer)
        try await pool.shutdownGracefully()
    }

    @Test func aReaderThatWentAwayIsAnError() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        close(ends[0])
        defer { close(ends[1]) }
        signal(SIGPIPE, SIG_IGN)
        #expect(DebugPaths.write([1], to: ends[1]) == EPIPE)
    }

    /// Scenario: batches at moments of a second.
    /// Guarantees: so many at first, then every nth, anew each second.
    @Test(arguments: [
        (2, 1, [0, 1, 2, 3], [true, true, true, true]),
        (2, 0, [0, 1, 2, 999, 1000, 1001, 1002], [true, true, false, false, true, true, false]),
        (1, 3, [0, 0, 0, 0, 0, 0, 0], [true, false, false, true, false, false, true]),
        (0, 2, [0, 1, 2, 3], [false, true, false, true]),
        (0, 0, [0, 5000], [false, false]),
        (1, 0, [500, 1400, 1500, 2499, 2500], [true, false, true, false, true]),
    ])
    func sampling(initial: Int, thereafter: Int, milliseconds: [Int64], shown: [Bool]) {
        var sampler = DebugSampler(initial: initial, thereafter: thereafter)
        let origin = NIODeadline.uptimeNanoseconds(7_000_000_000)
        #expect(milliseconds.map { sampler.admits(at: origin + .milliseconds($0)) } == shown)
    }

    @Test func whatSamplingLeavesOutWasSent() async throws {
        let journal = Journal()
        var config = config(.normal)
        config.samplingInitial = 1
        config.samplingThereafter = 0
        let sender = try DebugSender(
            config, signal: .traces, eventLoop: loop, logger: journal.logger(),
            clock: { .uptimeNanoseconds(5) })
        let results = try await send(["a", "b", "c"].map(named), with: sender)
        #expect(results.map(\.isSent) == [true, true, true])
        #expect(journal.lines.filter { $0.hasPrefix("ResourceTraces") }.count == 1)
    }

    /// Scenario: `sending_queue` off, which is the default, and written.
    /// Guarantees: no client ever waits for a terminal unless the operator says so; order is kept.
    @Test func thereIsAlwaysAQueue() {
        var config = DebugConfig()
        #expect(config.effectiveQueue.enabled)
        #expect(config.effectiveQueue.queueSize == 1000)
        #expect(!config.effectiveQueue.waitForResult)
        #expect(config.effectiveQueue.numConsumers == 1)
        config.sendingQueue = SendingQueueConfig(enabled: true)
        config.sendingQueue.queueSize = 7
        config.sendingQueue.waitForResult = true
        #expect(config.effectiveQueue.queueSize == 7)
        #expect(config.effectiveQueue.waitForResult)
        #expect(config.effectiveQueue.numConsumers == 1)
    }
}

extension SendResult {
    var isSent: Bool {
        if case .sent(0, _) = self { true } else { false }
    }
}
