import Compression
import FileExporter
import Glibc
import NIOCore
import OTLP
import Pipeline
import TestSupport

/// A folder that is gone with its last reference.
final class Folder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/sluice-file-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("no temporary folder: \(errno)") }
        path = String(cString: made)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        for name in entries(of: path) {
            if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
        }
        rmdir(path)
    }

    private static func entries(of path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    var names: [String] { Self.entries(of: path) }

    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}

/// What a file holds.
func contents(of path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = read(descriptor, &buffer, buffer.count), count > 0 { all += buffer[..<count] }
    return all
}

func put(_ text: String, into path: String) { put(Array(text.utf8), into: path) }

func put(_ bytes: [UInt8], into path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    precondition(descriptor >= 0 && write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
}

func lines(of path: String) -> [String] {
    String(decoding: contents(of: path), as: UTF8.self).split(
        separator: "\n", omittingEmptySubsequences: false
    ).map(String.init)
}

/// A batch of one slice for each request.
func batch(_ signal: Signal, _ requests: [UInt8]..., items: Int = 1) -> Batch {
    let batch = Batch(signal)
    for request in requests {
        let payload = Payload(ByteBuffer(bytes: request))
        batch.append(Slice(payload, offset: 0, count: request.count, items: items))
    }
    return batch
}

/// A request as OTLP JSON.
func json(_ signal: Signal, _ request: [UInt8]) -> String {
    request.withUnsafeBytes { String(decoding: otlpJSON($0, signal), as: UTF8.self) }
}

/// A writer that counts for nobody.
func makeWriter(
    _ path: String, now: Noted<Int64>? = nil,
    _ configure: (inout FileExporterConfig) -> Void = { _ in }
) throws(FileError) -> FileWriter {
    var config = FileExporterConfig()
    config.path = path
    configure(&config)
    let writer = try FileWriter(
        config, name: "file", registry: MetricRegistry(), logger: makeSilentLogger(),
        clock: { now?.value ?? FileWriter.systemMilliseconds() })
    writer.open()
    return writer
}

extension FileWriter {
    /// Writes batches, all at once, and waits for them.
    func write(_ batches: [Batch]) async -> [Result] {
        await withTaskGroup(of: (Int, Result).self) { group in
            for (index, batch) in batches.enumerated() {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        self.write(batch) { continuation.resume(returning: (index, $0)) }
                    }
                }
            }
            var results = [Result?](repeating: nil, count: batches.count)
            for await (index, result) in group { results[index] = result }
            return results.map { $0! }
        }
    }

    func write(_ batch: Batch) async -> Result { await write([batch])[0] }

    func close() async {
        await withCheckedContinuation { continuation in close { continuation.resume() } }
    }
}

/// What each zstd frame of a file holds; each stands behind its length.
func unframed(_ file: [UInt8]) throws -> [[UInt8]] {
    let decompressor = ZstdDecompressor()
    var rest = file[...]
    var contents: [[UInt8]] = []
    while !rest.isEmpty {
        let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let frame = Array(rest.dropFirst(4).prefix(count))
        var plain = ByteBuffer()
        _ = try decompressor.inflate(
            frame.span.bytes, limitBytes: 10 << 20,
            appending: { plain.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1) })
        contents.append(Array(plain.readableBytesView))
        rest = rest.dropFirst(4 + count)
    }
    return contents
}
