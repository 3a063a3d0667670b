import OTLP
import TestSupport
import Testing

/// One application that writes Latin-1 would cost all others behind the same agent their data, or a repair would
/// change what was right.
@Suite struct RequestRepairTests {
    private static let replacement = Array("\u{FFFD}".utf8)

    private func repaired(_ request: [UInt8], _ signal: Signal = .traces) throws -> [UInt8] {
        let repair = try request.withUnsafeBytes { try RequestRepair(of: $0, as: signal, for: .invalidUTF8) }
        // Bytes behind the room must stay as they are.
        var output = [UInt8](repeating: 0xA5, count: repair.roomBytes + 32)
        request.withUnsafeBytes { bytes in
            output.withUnsafeMutableBytes {
                _ = repair.write(
                    bytes, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<repair.roomBytes]))
            }
        }
        #expect(output[repair.roomBytes...].allSatisfy { $0 == 0xA5 }, "written behind the room")
        let result = Array(output[..<repair.roomBytes])
        #expect(try summary(result, signal) == repair.summary, "the repaired request is valid")
        return result
    }

    /// Scenario: each wrong sequence in each kind of place, behind text of every length, so that lengths grow by a byte
    /// or not. Guarantees: that text has what Swift makes of it, and all else is as it was.
    @Test(arguments: [0, 1, 100])
    func onlyTheTextChanges(trailing: Int) throws {
        for before in [
            0, 1, 30, 90, 100, 110, 118, 120, 122, 123, 124, 125, 126, 127, 128, 200, 16_300, 16_380,
        ] {
            for sequence in TextTests.invalid {
                let text = Array(repeating: UInt8(0x61), count: before) + sequence + [0x62]
                let wanted = Array(String(decoding: text, as: UTF8.self).utf8)
                let pairs = zip(
                    TextTests.requests(text, trailing: trailing),
                    TextTests.requests(wanted, trailing: trailing))
                for (wrong, right) in pairs { #expect(try repaired(wrong) == right) }
            }
        }
    }

    /// Scenario: requests of every shape, in which every text gets a wrong byte. Guarantees: the same number of items,
    /// and what comes out is valid; a valid request comes out as it is.
    @Test(arguments: Signal.allCases)
    func everyShapeIsRepaired(signal: Signal) throws {
        for seed in 0..<200 {
            let request = RandomRequest.make(signal, seed: UInt64(seed))
            #expect(try repaired(request, signal) == request)
            guard !request.isEmpty else { continue }
            var random = SeededRandom(seed: UInt64(seed))
            for _ in 0..<20 {
                var wrong = request
                let index = random.below(wrong.count)
                wrong[index] |= 0x80
                guard let found = fault(wrong, signal), found.reason == .invalidUTF8 else { continue }
                let before = try summary(request, signal)
                // The byte can have been a length that now holds other bytes; then it is no request.
                guard let after = try? repaired(wrong, signal) else { continue }
                #expect(try summary(after, signal).resources <= before.resources)
            }
        }
    }

    /// Scenario: lengths that an encoder has padded, as some do to fill them in later. Guarantees: the room that is asked
    /// for is enough, and the text is right.
    @Test func paddedLengthsStayPadded() throws {
        let span: [UInt8] = [0x2A, 0x81, 0x80, 0x80, 0x80, 0x00, 0xFF]
        let request: [UInt8] =
            [0x0A, 0x8F, 0x80, 0x00, 0x12, 0x8B, 0x80, 0x00, 0x12, 0x87, 0x80, 0x00] + span
        let wanted: [UInt8] =
            [0x0A, 0x91, 0x80, 0x00, 0x12, 0x8D, 0x80, 0x00, 0x12, 0x89, 0x80, 0x00]
            + [0x2A, 0x83, 0x80, 0x80, 0x80, 0x00] + Self.replacement
        #expect(try repaired(request) == wanted)
    }

    /// Scenario: two services, one of which writes wrong text. Guarantees: it is named, and the other is not.
    @Test func theServiceIsNamed() throws {
        func resource(_ name: String, _ span: [UInt8]) -> (inout ProtoWriter) -> Void {
            { entry in
                entry.message(1) {
                    $0.message(1) {
                        $0.text(1, "service.name")
                        $0.message(2) { $0.text(1, name) }
                    }
                }
                entry.message(2) { $0.message(2) { $0.field(5, span) } }
            }
        }
        let request = message {
            $0.message(1, resource("good", [0x61]))
            $0.message(1, resource("bad", [0xFF]))
        }
        let repair = try request.withUnsafeBytes { try RequestRepair(of: $0, as: .traces, for: .invalidUTF8) }
        #expect(repair.texts.map { $0.resource } == [1] && repair.texts.map { $0.count } == [1])
        try repaired(request).withUnsafeBytes { bytes in
            #expect(WireBytes(bytes).serviceName(ofResource: 1) == "bad")
            #expect(WireBytes(bytes).serviceName(ofResource: 0) == "good")
            #expect(WireBytes(bytes).serviceName(ofResource: 2) == "")
        }
    }

    /// Scenario: wrong text and a broken length. Guarantees: what is broken is refused as before.
    @Test func whatIsBrokenStaysRefused() {
        let request = traceRequest { $0.field(5, [0xFF]) } + [0x0A, 0x05]
        #expect(throws: WireError.self) {
            try request.withUnsafeBytes { try RequestRepair(of: $0, as: .traces, for: .invalidUTF8) }
        }
    }
}
