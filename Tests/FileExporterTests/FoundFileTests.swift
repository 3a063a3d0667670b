import Compression
import FileExporter
import Glibc
import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

/// Without these a file would be unreadable from the first crash of the gateway on.
struct FoundFileTests {
    private let folder = Folder()

    struct Kind: Sendable, CustomTestStringConvertible {
        let format: FileExporterConfig.Format
        let compression: FileExporterConfig.Compression

        var testDescription: String { "\(format), \(compression)" }
    }

    private static let kinds = [
        Kind(format: .proto, compression: .none), Kind(format: .proto, compression: .gzip),
        Kind(format: .json, compression: .gzip), Kind(format: .proto, compression: .zstd),
        Kind(format: .json, compression: .zstd),
    ]

    private func writer(_ path: String, _ kind: Kind) throws -> FileWriter {
        try makeWriter(path) {
            $0.append = true
            $0.format = kind.format
            $0.compression = kind.compression
        }
    }

    /// What a batch is in a file, before compression.
    private func text(_ request: [UInt8], _ kind: Kind) -> [UInt8] {
        switch (kind.format, kind.compression) {
        case (.json, .zstd): Array(json(.logs, request).utf8)
        case (.proto, .zstd): request
        case (.json, _): Array((json(.logs, request) + "\n").utf8)
        case (.proto, _):
            stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: request.count >> $0) }
                + request
        }
    }

    private func plain(_ path: String, _ kind: Kind) throws -> [UInt8] {
        let bytes = contents(of: path)
        if kind.compression == .zstd { return try unframed(bytes).joined().map { $0 } }
        guard kind.compression == .gzip, !bytes.isEmpty else { return bytes }
        var plain = ByteBuffer()
        _ = try Gunzipper().inflate(
            bytes.span.bytes, as: .gzip, limitBytes: 10 << 20,
            appending: { plain.writeWithOutputRawSpan(minimumWritableBytes: $0, initializingWith: $1) })
        return Array(plain.readableBytesView)
    }

    /// Guarantees: wherever a kill cuts the file, the whole batches before stay, and the next one can be read.
    @Test(arguments: kinds) func aPartOfABatchIsCutOff(kind: Kind) async throws {
        // The second one is of many parts of 64 KiB, whose ends are no batch's end.
        let requests = [1, 900, 3].map { RequestBuilder.makeLogs(records: $0) }
        let path = folder("whole")
        var ends: [Int] = []
        let first = try writer(path, kind)
        for request in requests {
            #expect(await first.write(batch(.logs, request)) == .written)
            ends.append(contents(of: path).count)
        }
        await first.close()
        let whole = contents(of: path)
        var cuts = Set([1, 5, 30, ends[0] + 1, ends[0] + 3, ends[0] + 21, ends[1] - 1, ends[1] + 4])
        cuts.formUnion(ends)
        cuts.formUnion(ends.map { $0 - 9 })
        for position in stride(from: ends[0], to: ends[1], by: max(1, (ends[1] - ends[0]) / 12)) {
            cuts.insert(position)
        }
        for cut in cuts.sorted() where cut > 0 && cut <= whole.count {
            let path = folder("cut")
            unlink(path)
            put(Array(whole[..<cut]), into: path)
            let writer = try writer(path, kind)
            #expect(await writer.write(batch(.logs, requests[0])) == .written)
            await writer.close()
            let kept = ends.filter { $0 <= cut }.count
            let expected = requests[..<kept].flatMap { text($0, kind) } + text(requests[0], kind)
            #expect((try plain(path, kind) == expected) as Bool, "cut at \(cut) of \(ends)")
        }
    }

    /// If it failed, a file of another format or program would be cut, or end in bytes that its readers cannot read.
    @Test(arguments: kinds) func whatIsNotOursIsSetAside(kind: Kind) async throws {
        let text = "{\"resourceLogs\":[]}\n"
        let path = folder("data.out")
        for _ in 0..<2 {
            put(text, into: path)
            let writer = try writer(path, kind)
            #expect(await writer.write(batch(.logs, [])) == .written)
            await writer.close()
            #expect(try plain(path, kind) == self.text([], kind))
        }
        let aside = folder.names.filter { $0 != "data.out" }
        #expect(aside.count == 2 && aside.allSatisfy { $0.hasPrefix("data-2") && $0.hasSuffix(".out") })
        #expect(aside.allSatisfy { contents(of: folder($0)) == Array(text.utf8) })
    }

    /// If it failed, every user of the machine could read the telemetry.
    @Test func onlyTheOwnerMayRead() async throws {
        let path = folder("private.jsonl")
        let writer = try makeWriter(path)
        await writer.close()
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }
}
