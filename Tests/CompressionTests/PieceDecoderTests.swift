import Compression
import Testing

/// Without these a large body could come out wrong, or one of a few kilobytes would hold a thread for as long as it likes.
@Suite struct PieceDecoderTests {
    private static let formats: [(PieceDecoder.Format, @Sendable ([UInt8]) -> [UInt8])] = [
        (.gzip, { gzipped($0) }),
        (.zlib, { zlibStream($0) }),
        (
            .zstd,
            { bytes in
                var sink = Sink()
                _ = ZstdCompressor().compress(bytes.span.bytes) { sink.append($0, $1) }
                return sink.bytes
            }
        ),
    ]

    /// What the pieces are together, and how many there were.
    private func decode(
        _ body: [UInt8], _ format: PieceDecoder.Format, limitBytes: Int = 64 << 20,
        with decoder: PieceDecoder = PieceDecoder()
    ) -> (result: Result<[UInt8], InflateError>, sink: Sink) {
        var sink = Sink()
        do throws(InflateError) {
            try decoder.begin(body.span.bytes, as: format, limitBytes: limitBytes)
            while try !decoder.next(
                body.span.bytes, limitBytes: limitBytes, appending: { sink.append($0, $1) })
            {}
            return (.success(sink.bytes), sink)
        } catch {
            precondition(sink.bytes.count <= limitBytes, "Appended more than the limit")
            return (.failure(error), sink)
        }
    }

    /// The same decoder, for bodies of every format and size, after errors, and after bodies that were given up.
    @Test(arguments: formats.indices) func whatWasCompressedComesBack(index: Int) throws {
        let (format, compress) = Self.formats[index]
        let decoder = PieceDecoder()
        for count in [1, 1000, 262_143, 262_144, 262_145, 600_000] {
            let bytes = sample(count)
            let body = compress(bytes)
            #expect(decode(body, format, with: decoder).result == .success(bytes))
            #expect(decode(body, format, limitBytes: count, with: decoder).result == .success(bytes))
            #expect(
                decode(body, format, limitBytes: count - 1, with: decoder).result
                    == .failure(.tooLarge(limitBytes: count - 1)))
            let cut = Array(body.dropLast())
            #expect(decode(cut, format, with: decoder).result == .failure(.corrupt(.damaged)))
            var sink = Sink()
            try decoder.begin(body.span.bytes, as: format, limitBytes: count)
            _ = try decoder.next(body.span.bytes, limitBytes: count) { sink.append($0, $1) }
        }
        #expect(decode([], format).result == .failure(.corrupt(.empty)))
    }

    /// Guarantees: what one call takes is bounded, by room and by input; nothing is lost between two.
    @Test func piecesAreSmall() {
        let zeros = [UInt8](repeating: 0, count: 2 << 20)
        let (result, sink) = decode(gzipped(zeros), .gzip)
        #expect(result == .success(zeros))
        #expect(sink.calls >= 8 && sink.roomMax <= 256 << 10)
        // One member of a hundred kilobytes of blocks without a byte, as `Z_FULL_FLUSH` writes them.
        let emptyBlocks = Array(repeatElement([0, 0, 0, 0xff, 0xff] as [UInt8], count: 20_000).joined())
        let nothing =
            [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] + emptyBlocks + [3, 0] + [UInt8](repeating: 0, count: 8)
        let none = decode(nothing, .gzip)
        #expect(none.result == .success([]) && none.sink.calls >= nothing.count / (32 << 10))
    }

    @Test func membersAreOneBodyAndNothingElseFollows() {
        let body = gzipped(sample(400_000)) + gzipped([]) + gzipped(sample(5000, seed: 2))
        #expect(decode(body, .gzip).result == .success(sample(400_000) + sample(5000, seed: 2)))
        #expect(decode(body + [1, 2], .gzip).result == .failure(.corrupt(.trailingBytes)))
        let stream = zlibStream(sample(300_000))
        #expect(decode(stream + [1], .zlib).result == .failure(.corrupt(.trailingBytes)))
        #expect(decode(stream, .gzip).result == .failure(.corrupt(.wrongFormat)))
        var wrong = gzipped(sample(300_000))
        wrong[wrong.count - 5] ^= 1
        #expect(decode(wrong, .gzip).result == .failure(.corrupt(.damaged)))
    }
}
