import Compression
import Testing

/// Without these a client's compressed telemetry is lost or altered, or one request takes the gateway's memory.
@Suite struct GunzipperTests {
    @Test(arguments: [0, 1, 17, 18, 1000, 65_535, 65_536, 300_000])
    func whatWasCompressedComesBack(count: Int) {
        let bytes = sample(count)
        for level in [0, 1, 6, 12] {
            let body = gzipped(bytes, level: level)
            #expect(inflated(body).result == .success(bytes))
            #expect(zlibInflated(body) == bytes)
        }
        #expect(inflated(zlibStream(bytes), as: .zlib).result == .success(bytes))
    }

    @Test func theGzipCommandAgrees() throws {
        let bytes = sample(50_000)
        #expect(inflated(try gzipCommand(["-c"], input: bytes).output).result == .success(bytes))
        #expect(inflated(try gzipCommand(["-c", "-1"], input: []).output).result == .success([]))
        let ours = try gzipCommand(["-dc"], input: gzipped(bytes, level: 1))
        #expect(ours.status == 0 && ours.output == bytes)
        let members = gzipped(sample(9)) + gzipped([]) + gzipped(sample(20_000, seed: 2), level: 1)
        let joined = try gzipCommand(["-dc"], input: members)
        #expect(joined.status == 0 && joined.output == sample(9) + sample(20_000, seed: 2))
    }

    /// Guarantees: an honest body of one member takes one call and exactly its own size.
    @Test func anHonestSizeIsUsed() {
        let (result, sink) = inflated(gzipped(sample(200_000)))
        #expect(result == .success(sample(200_000)))
        #expect(sink.calls == 1 && sink.roomMax == 200_000)
    }

    /// Guarantees: members back to back are one body, whatever their sizes.
    @Test(arguments: [
        [0], [0, 0, 0], [5, 100_000], [100_000, 5], [40_000, 40_000, 40_000],
        Array(repeating: 3000, count: 100),
    ])
    func membersBackToBackAreOneBody(counts: [Int]) {
        var body: [UInt8] = []
        var bytes: [UInt8] = []
        for (index, count) in counts.enumerated() {
            let part = sample(count, seed: UInt64(index))
            bytes += part
            body += gzipped(part)
        }
        #expect(inflated(body).result == .success(bytes))
        #expect(inflated(body, limitBytes: bytes.count).result == .success(bytes))
        if !bytes.isEmpty {
            let limit = bytes.count - 1
            #expect(inflated(body, limitBytes: limit).result == .failure(.tooLarge(limitBytes: limit)))
        }
    }

    /// Scenario: 16 MiB of zeros in 16 KB; its size field honest, zero, small, or 4 GiB.
    /// Guarantees: refused, and never more room taken than the limit.
    @Test(arguments: [nil, 0, 1, 100_000, UInt32.max] as [UInt32?])
    func aBombStaysWithinTheLimit(size: UInt32?) {
        var bomb = gzipped([UInt8](repeating: 0, count: 16 << 20))
        if let size {
            bomb.replaceSubrange(
                (bomb.count - 4)..., with: (0..<4).map { UInt8(truncatingIfNeeded: size >> ($0 * 8)) })
        }
        for limit in [0, 1, 4096, 1 << 20, (16 << 20) - 1] {
            let (result, sink) = inflated(bomb, limitBytes: limit)
            #expect(result == .failure(.tooLarge(limitBytes: limit)))
            #expect(sink.roomMax <= max(limit, 1))
        }
        let (result, _) = inflated(bomb, limitBytes: 16 << 20)
        if size == nil {
            #expect(result == .success([UInt8](repeating: 0, count: 16 << 20)))
        } else {
            #expect(result == .failure(.corrupt(.damaged)))
        }
    }

    /// Scenario: many small members that each inflate a thousandfold.
    @Test func aBombOfManyMembersStaysWithinTheLimit() {
        let member = gzipped([UInt8](repeating: 0, count: 1 << 20))
        let body = Array(repeatElement(member, count: 50).joined())
        let (result, sink) = inflated(body, limitBytes: 3 << 20)
        #expect(result == .failure(.tooLarge(limitBytes: 3 << 20)))
        #expect(sink.roomMax <= 3 << 20 && sink.bytes.count <= 3 << 20)
    }

    /// Scenario: a size field that claims 4 GiB on a body of 30 bytes.
    /// Guarantees: no more room than deflate could fill.
    @Test func aClaimedSizeIsNotTrusted() {
        var body = gzipped(sample(10))
        body.replaceSubrange((body.count - 4)..., with: [0xff, 0xff, 0xff, 0xff])
        let (result, sink) = inflated(body, limitBytes: 1 << 40)
        #expect(result == .failure(.corrupt(.damaged)))
        #expect(sink.roomMax <= body.count * 1032)
    }

    @Test func everyTruncationIsRefused() {
        let gunzipper = Gunzipper()
        let gzip = gzipped(sample(3000)) + gzipped(sample(2000))
        let first = gzipped(sample(3000)).count
        for count in 0..<gzip.count where count != first {
            let body = Array(gzip.prefix(count))
            guard case .failure(.corrupt) = inflated(body, with: gunzipper).result else {
                Issue.record("\(count) of \(gzip.count) bytes were accepted")
                continue
            }
        }
        let zlib = zlibStream(sample(3000))
        for count in 0..<zlib.count {
            guard case .failure(.corrupt) = inflated(Array(zlib.prefix(count)), as: .zlib).result else {
                Issue.record("\(count) of \(zlib.count) bytes were accepted")
                continue
            }
        }
    }

    @Test(
        arguments: [
            ([], InflateError.Damage.empty), ([0x1f], .wrongFormat),
            (Array("{\"resourceSpans\":[]}".utf8), .wrongFormat),
            ([0x1f, 0x8b], .damaged),
            ([0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0], .damaged),
            (gzipped(sample(500)) + [0], .trailingBytes),
            (gzipped(sample(500)) + [0, 0, 0, 0], .trailingBytes),
            (gzipped(sample(500)) + Array("tail".utf8), .trailingBytes),
            (gzipped(sample(500)) + [0x1f, 0x8b], .damaged),
            (zlibStream(sample(100)), .wrongFormat),
        ] as [([UInt8], InflateError.Damage)])
    func whatIsNotGzipIsNamed(body: [UInt8], damage: InflateError.Damage) {
        #expect(inflated(body).result == .failure(.corrupt(damage)))
    }

    @Test(
        arguments: [
            ([], InflateError.Damage.empty), ([0x78], .wrongFormat), ([0x78, 0x9d, 0], .wrongFormat),
            (gzipped(sample(100)), .wrongFormat), (zlibStream(sample(100)) + [0], .trailingBytes),
            (zlibStream(sample(100)) + zlibStream(sample(100)), .trailingBytes),
        ] as [([UInt8], InflateError.Damage)])
    func whatIsNotZlibIsNamed(body: [UInt8], damage: InflateError.Damage) {
        #expect(inflated(body, as: .zlib).result == .failure(.corrupt(damage)))
    }

    /// Guarantees: each bit of checksum and size counts.
    @Test func aWrongChecksumIsRefused() {
        let body = gzipped(sample(5000))
        for offset in (body.count - 8)..<body.count {
            for bit in 0..<8 {
                var wrong = body
                wrong[offset] ^= 1 << bit
                #expect(inflated(wrong).result == .failure(.corrupt(.damaged)))
            }
        }
        var wrong = zlibStream(sample(5000))
        wrong[wrong.count - 1] ^= 1
        #expect(inflated(wrong, as: .zlib).result == .failure(.corrupt(.damaged)))
    }

    /// Scenario: every combination of the optional header fields: extra, name, comment, header checksum, text.
    @Test(arguments: 0..<32)
    func optionalHeaderFieldsAreSkipped(flags: UInt8) {
        let bytes = sample(700)
        let plain = gzipped(bytes)
        var header: [UInt8] = [0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3]
        if flags & 4 != 0 { header += [3, 0, 9, 9, 9] }
        if flags & 8 != 0 { header += Array("name.pb".utf8) + [0] }
        if flags & 16 != 0 { header += Array("a comment".utf8) + [0] }
        if flags & 2 != 0 {
            let crc = crc32(header)
            header += [UInt8(truncatingIfNeeded: crc), UInt8(truncatingIfNeeded: crc >> 8)]
        }
        let body = header + plain[10...]
        #expect(zlibInflated(body) == bytes)
        #expect(inflated(body).result == .success(bytes))
        #expect(inflated(body + body).result == .success(bytes + bytes))
        #expect(inflated(Array(body.prefix(header.count))).result == .failure(.corrupt(.damaged)))
    }

    @Test(arguments: [UInt8(32), 64, 128])
    func reservedHeaderFlagsAreRefused(flag: UInt8) {
        var body = gzipped(sample(700))
        body[3] = flag
        #expect(inflated(body).result == .failure(.corrupt(.damaged)))
    }

    /// Guarantees: what was appended before an error does not disturb the next body.
    @Test func oneGunzipperServesManyBodies() {
        let gunzipper = Gunzipper()
        for count in [10, 100_000, 0, 5000] {
            #expect(inflated(gzipped(sample(count)), with: gunzipper).result == .success(sample(count)))
            #expect(inflated([1, 2, 3], with: gunzipper).result == .failure(.corrupt(.wrongFormat)))
            #expect(
                inflated(zlibStream(sample(count)), as: .zlib, with: gunzipper).result
                    == .success(sample(count)))
        }
    }

    /// Scenario: bodies with bytes changed, removed, doubled, and joined, from a printed seed.
    /// Guarantees: no crash, never beyond the limit, and what is accepted is what zlib reads too.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func damagedBodiesAreRefusedOrReadRight(seed: UInt64) {
        var random = SplitMix(state: seed)
        let gunzipper = Gunzipper()
        for round in 0..<2500 {
            let bytes = sample(Int(random.next() % 4000), seed: random.next())
            let format = random.next() % 4 == 0 ? Gunzipper.Format.zlib : .gzip
            var body = format == .zlib ? zlibStream(bytes) : gzipped(bytes, level: Int(random.next() % 10))
            for _ in 0...(random.next() % 3) {
                let at = Int(random.next() % UInt64(body.count))
                switch random.next() % 5 {
                case 0: body[at] ^= 1 << UInt8(random.next() % 8)
                case 1: body[at] = UInt8(truncatingIfNeeded: random.next())
                case 2: body.remove(at: at)
                case 3: body.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
                default: body.replaceSubrange(at..., with: body[..<(body.count - at)])
                }
                if body.isEmpty { body = [0] }
            }
            let limit = Int(random.next() % 8000)
            let (result, sink) = inflated(body, as: format, limitBytes: limit, with: gunzipper)
            #expect(sink.roomMax <= max(limit, 1), "seed \(seed), round \(round)")
            if case .success(let output) = result {
                #expect(output.count <= limit)
                // A changed header checksum is the one damage that libdeflate lets pass.
                #expect(output == zlibInflated(body) ?? bytes, "seed \(seed), round \(round)")
            }
        }
    }
}

/// Without these what is exported cannot be read, or a buffer overflows.
@Suite struct GzipperTests {
    @Test(arguments: [0, 1, 12])
    func roomForTheWorstCaseSuffices(level: Int) {
        let gzipper = Gzipper(level: level)
        var random = SplitMix(state: 7)
        for count in [0, 1, 100, 70_000, 300_000] {
            let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            var sink = Sink()
            let written = gzipper.compress(noise.span.bytes) { sink.append($0, $1) }
            #expect(written <= gzipper.outputBytesMax(inputBytes: count))
            #expect(inflated(sink.bytes).result == .success(noise))
        }
    }

    @Test func aLevelThatDoesNotExistTraps() async {
        await #expect(processExitsWith: .failure) { _ = Gzipper(level: 13) }
    }
}

private func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 {
            crc = crc & 1 == 1 ? (crc >> 1) ^ 0xedb8_8320 : crc >> 1
        }
    }
    return ~crc
}
