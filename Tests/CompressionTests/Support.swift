import CZlib
import Compression
import Foundation

/// A growing buffer that remembers how much room it was asked for.
struct Sink {
    var bytes: [UInt8] = []
    var roomMax = 0
    var calls = 0

    mutating func append(_ minimumBytes: Int, _ fill: (inout OutputRawSpan) -> Void) {
        roomMax = max(roomMax, minimumBytes)
        calls += 1
        let start = bytes.count
        // 8 bytes before the free room are taken already, and 8 behind it must stay as they are.
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 + minimumBytes + 8, alignment: 16)
        defer { room.deallocate() }
        room.initializeMemory(as: UInt8.self, repeating: 0xa5)
        var span = OutputRawSpan(
            buffer: UnsafeMutableRawBufferPointer(rebasing: room[..<(8 + minimumBytes)]), initializedCount: 8)
        fill(&span)
        let count = span.finalize(
            for: UnsafeMutableRawBufferPointer(rebasing: room[..<(8 + minimumBytes)]))
        precondition(room[..<8].allSatisfy { $0 == 0xa5 }, "Written before the room")
        precondition(room[(8 + minimumBytes)...].allSatisfy { $0 == 0xa5 }, "Written behind the room")
        bytes += room[8..<count]
        precondition(bytes.count - start <= minimumBytes)
    }
}

/// The bytes of `body`, or the error; and what the buffer was asked for.
func inflated(
    _ body: [UInt8], as format: Gunzipper.Format = .gzip, limitBytes: Int = 1 << 20,
    with gunzipper: Gunzipper = Gunzipper()
) -> (result: Result<[UInt8], InflateError>, sink: Sink) {
    var sink = Sink()
    do throws(InflateError) {
        let count = try gunzipper.inflate(body.span.bytes, as: format, limitBytes: limitBytes) {
            sink.append($0, $1)
        }
        precondition(count == sink.bytes.count, "Returned \(count), appended \(sink.bytes.count)")
        return (.success(sink.bytes), sink)
    } catch {
        return (.failure(error), sink)
    }
}

/// One gzip member.
func gzipped(_ bytes: [UInt8], level: Int = 6) -> [UInt8] {
    var sink = Sink()
    let count = Gzipper(level: level).compress(bytes.span.bytes) { sink.append($0, $1) }
    precondition(count == sink.bytes.count)
    return sink.bytes
}

/// Text that compresses about as telemetry does; the same for the same seed.
func sample(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SplitMix(state: seed)
    var result: [UInt8] = []
    while result.count < count {
        result += "http.request.method=\(random.next() % 8) url.path=/api/v1/\(random.next() % 100_000);".utf8
    }
    return Array(result.prefix(count))
}

/// A small reproducible generator.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// What zlib makes of a gzip body of one member or of a zlib stream; nil when it refuses it.
func zlibInflated(_ body: [UInt8], capacity: Int = 1 << 20) -> [UInt8]? {
    var stream = z_stream()
    guard inflateInit2_(&stream, 15 + 32, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        return nil
    }
    defer { inflateEnd(&stream) }
    var input = body
    var output = [UInt8](repeating: 0, count: capacity)
    return input.withUnsafeMutableBufferPointer { source in
        output.withUnsafeMutableBufferPointer { target in
            stream.next_in = source.baseAddress
            stream.avail_in = UInt32(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = UInt32(target.count)
            let code = inflate(&stream, Z_FINISH)
            guard code == Z_STREAM_END, stream.avail_in == 0 else { return nil }
            return Array(target[..<Int(stream.total_out)])
        }
    }
}

/// A zlib stream, made by zlib.
func zlibStream(_ bytes: [UInt8]) -> [UInt8] {
    var count = compressBound(UInt(bytes.count))
    var output = [UInt8](repeating: 0, count: Int(count))
    let code = compress2(&output, &count, bytes, UInt(bytes.count), 6)
    precondition(code == Z_OK)
    return Array(output.prefix(Int(count)))
}

/// What the `gzip` command writes for `input` on its standard input.
func gzipCommand(_ arguments: [String], input: [UInt8]) throws -> (status: Int32, output: [UInt8]) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip"] + arguments
    let stdin = Pipe()
    let stdout = Pipe()
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = FileHandle.nullDevice
    try process.run()
    // The inputs here are smaller than a pipe's buffer, so writing first cannot block.
    precondition(input.count < 60_000)
    try stdin.fileHandleForWriting.write(contentsOf: input)
    try stdin.fileHandleForWriting.close()
    let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, Array(output))
}
