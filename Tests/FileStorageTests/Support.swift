import Configuration
import FileStorage
import Glibc
import Logging
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

/// A folder of its own for a test.
final class Folder {
    let path: String

    init() {
        var template = Array("/tmp/sluice-store-XXXXXX".utf8CString)
        let made = mkdtemp(&template)
        precondition(made != nil, "a folder can be made in /tmp")
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in names { unlink(inside + "/" + name) }
        rmdir(inside)
        rmdir(path)
    }

    var inside: String { path + "/exporter_otlp_traces" }

    var names: [String] {
        guard let folder = opendir(inside) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func names(_ ending: String) -> [String] { names.filter { $0.hasSuffix(ending) } }

    /// The bytes of a file.
    func content(_ name: String) -> [UInt8] {
        var content: [UInt8] = []
        change(name) { descriptor in
            var status = stat()
            fstat(descriptor, &status)
            content = [UInt8](repeating: 0, count: Int(status.st_size))
            pread(descriptor, &content, content.count, 0)
        }
        return content
    }

    func flip(_ name: String, byte: Int, bit: Int) {
        change(name) { descriptor in
            var value: UInt8 = 0
            pread(descriptor, &value, 1, off_t(byte))
            value ^= 1 << UInt8(bit)
            pwrite(descriptor, &value, 1, off_t(byte))
        }
    }

    /// Puts a new file here.
    func put(_ name: String, _ content: [UInt8]) {
        let descriptor = open(inside + "/" + name, O_RDWR | O_CREAT | O_TRUNC, 0o640)
        precondition(descriptor >= 0, "\(name) can be made")
        pwrite(descriptor, content, content.count, 0)
        close(descriptor)
    }

    /// Changes a file's bytes.
    func change(_ name: String, _ body: (Int32) -> Void) {
        let descriptor = open(inside + "/" + name, O_RDWR)
        precondition(descriptor >= 0, "\(name) is there")
        body(descriptor)
        close(descriptor)
    }

    var bytes: Int {
        names.reduce(0) { sum, name in
            var status = stat()
            stat(inside + "/" + name, &status)
            return sum + Int(status.st_size)
        }
    }
}

/// A store on a loop of its own, seen from a test's task.
final class StoreRig: Sendable {
    let loop: any EventLoop
    let store: NIOLoopBound<SegmentStore>
    let lines: Noted<[String]>

    init(_ folder: Folder, fsync: Bool = false, maxMib: Int = 64, segmentBytes: Int = 1 << 20) async throws {
        var config = FileStorageConfig()
        config.directory = folder.path
        config.fsync = fsync
        config.maxSizeMib = maxMib
        var settings = SegmentStore.Settings(config, exporter: "otlp", signal: .traces)
        settings.segmentBytes = segmentBytes
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        self.loop = loop
        let lines = Noted<[String]>([])
        self.lines = lines
        let logger = Logger(label: "store") { _ in LineHandler(lines: lines) }
        let (made, ledger) = (settings, MemoryLedger())
        store = try await loop.submit {
            NIOLoopBound(SegmentStore(made, ledger: ledger, eventLoop: loop, logger: logger), eventLoop: loop)
        }.get()
    }

    func open() async throws -> [StoredBatch] {
        try await loop.flatSubmit { self.store.value.open() }.get()
    }

    /// Stores a request of its own.
    func append(_ request: [UInt8], items: Int, metadata: ClientMetadata? = nil) async throws -> Result<
        [StoredBatch], Refusal
    > {
        try await loop.flatSubmit {
            let payload = Payload(ByteBuffer(bytes: request))
            payload.metadata = metadata
            let promise = self.loop.makePromise(of: Result<[StoredBatch], Refusal>.self)
            let ended = self.loop.makePromise(of: Refusal?.self)
            let parts = self.store.value.append(Batch(.traces, payload: payload, items: items)) {
                ended.succeed($0)
            }
            ended.futureResult.assumeIsolated().whenSuccess { refusal in
                promise.succeed(refusal.map { .failure($0) } ?? .success(parts.map(\.stored)))
            }
            return promise.futureResult
        }.get()
    }

    /// Appends requests in one turn of the loop and removes them in the same; the write of `keeping` is awaited.
    func appendInVain(_ requests: [[UInt8]], keeping: [UInt8]) async throws -> StoredBatch {
        try await loop.flatSubmit {
            let store = self.store.value
            for request in requests {
                let batch = Batch(.traces, payload: Payload(ByteBuffer(bytes: request)), items: 1)
                for part in store.append(batch, done: { _ in }) { store.remove(part.stored) }
            }
            let promise = self.loop.makePromise(of: StoredBatch.self)
            let bound = Noted<[StoredBatch]>([])
            let kept = Batch(.traces, payload: Payload(ByteBuffer(bytes: keeping)), items: 1)
            bound.value = store.append(kept) { _ in promise.succeed(bound.value[0]) }.map(\.stored)
            return promise.futureResult
        }.get()
    }

    /// Appends a request and removes it as soon as it is being written.
    func removeWhileWritten(_ request: [UInt8]) async throws {
        try await loop.flatSubmit {
            let store = self.store.value
            let promise = self.loop.makePromise(of: Void.self)
            let batch = Batch(.traces, payload: Payload(ByteBuffer(bytes: request)), items: 1)
            let parts = store.append(batch) { _ in promise.succeed() }
            // Behind the turn's end, at which the write begins.
            let bound = NIOLoopBound((store, parts), eventLoop: self.loop)
            self.loop.execute { for part in bound.value.1 { bound.value.0.remove(part.stored) } }
            return promise.futureResult
        }.get()
    }

    func append(spans: Int, seed: UInt64) async throws -> StoredBatch {
        try await append(RequestBuilder.makeTraces(spans: spans, seed: seed), items: spans).get()[0]
    }

    func read(_ stored: StoredBatch) async throws -> Batch? {
        try await loop.flatSubmit {
            let promise = self.loop.makePromise(of: Batch?.self)
            self.store.value.read(stored) { promise.succeed($0) }
            return promise.futureResult
        }.get()
    }

    func bytes(_ stored: StoredBatch) async throws -> [UInt8]? {
        try await read(stored).map { Array($0.slices[0].bytes.readableBytesView) }
    }

    func remove(_ stored: StoredBatch) async throws {
        try await loop.submit { self.store.value.remove(stored) }.get()
    }

    func close() async throws {
        try await loop.flatSubmit { self.store.value.close() }.get()
    }
}

private struct LineHandler: LogHandler {
    let lines: Noted<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.change { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
    }
}

func request(_ seed: UInt64, spans: Int = 20) -> [UInt8] {
    RequestBuilder.makeTraces(spans: spans, seed: seed)
}
