import OTLP
import TestSupport
import Testing

/// Text that is not UTF-8 would make a destination refuse a whole batch, with the data of other clients in
/// it.
@Suite struct TextTests {
    static let valid: [[UInt8]] = [
        [], [0x00], [0x7F], [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xED, 0x9F, 0xBF],
        [0xEE, 0x80, 0x80],
        [0xEF, 0xBF, 0xBF], [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
    ]
    static let invalid: [[UInt8]] = [
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xC2, 0xC2], [0xE0, 0x80, 0x80],
        [0xE0, 0x9F, 0xBF], [0xE1, 0x80], [0xE1, 0x80, 0x41], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
        [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF1, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80],
        [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF],
    ]

    /// The same text in every place of a span that a separate path checks, with bytes behind it or at the
    /// very end.
    static func requests(_ text: [UInt8], trailing: Int) -> [[UInt8]] {
        let behind = Array(repeating: UInt8(0x41), count: trailing)
        return [
            traceRequest {
                $0.field(5, text)
                $0.field(3, behind)
            },
            traceRequest {
                $0.message(9) {
                    $0.field(1, text)
                    $0.message(2) { $0.text(1, "v") }
                }
                $0.field(3, behind)
            },
            traceRequest {
                $0.message(9) {
                    $0.field(1, text)
                    $0.message(2) { $0.integer(3, 5) }
                }
                $0.field(3, behind)
            },
            traceRequest {
                $0.message(9) {
                    $0.field(1, text)
                    $0.message(2) { $0.double(4, -1) }
                }
                $0.field(3, behind)
            },
            traceRequest {
                $0.message(9) {
                    $0.text(1, "k")
                    $0.message(2) { $0.field(1, text) }
                }
                $0.field(3, behind)
            },
        ]
    }

    /// Scenario: each sequence behind 0 to 70 ASCII bytes, so that it falls on and over every boundary of
    /// the blocks that are checked at once. Guarantees: valid passes, invalid does not, whatever surrounds
    /// it.
    @Test(arguments: [0, 1, 100])
    func checksEverySequenceEverywhere(trailing: Int) {
        for before in [
            0, 1, 2, 7, 8, 13, 14, 15, 16, 17, 29, 30, 31, 32, 33, 46, 47, 48, 49, 61, 62, 63, 64, 65, 70,
            130,
        ] {
            let ascii = Array(repeating: UInt8(0x61), count: before)
            for sequence in Self.valid {
                for request in Self.requests(ascii + sequence + [0x62], trailing: trailing) {
                    #expect(fault(request, .traces) == nil)
                }
            }
            for sequence in Self.invalid {
                for end in [[], [0x62]] as [[UInt8]] {
                    for request in Self.requests(ascii + sequence + end, trailing: trailing) {
                        #expect(fault(request, .traces)?.reason == .invalidUTF8)
                    }
                }
            }
        }
    }

    /// Scenario: identifiers and bytes values. Guarantees: bytes are not text; any content passes.
    @Test func leavesBytesAlone() {
        #expect(fault(traceRequest { $0.field(1, Array(repeating: 0xFF, count: 16)) }, .traces) == nil)
        let attribute = message {
            $0.text(1, "k")
            $0.message(2) { $0.field(7, [0xFF, 0xFE]) }
        }
        #expect(fault(traceRequest { $0.field(9, attribute) }, .traces) == nil)
    }

    /// Scenario: integer attributes of every length. Guarantees: the short path agrees with the rule for
    /// varints.
    @Test func checksIntegersInAttributes() {
        for padding in [0, 60] {
            for keyCount in [1, 20, 49, 50, 51, 52, 60] {
                for shift in 0..<64 {
                    let request = traceRequest {
                        $0.message(9) {
                            $0.field(1, Array(repeating: 0x6B, count: keyCount))
                            $0.message(2) { $0.integer(3, 1 << UInt64(shift)) }
                        }
                        $0.field(3, Array(repeating: 0, count: padding))
                    }
                    #expect(fault(request, .traces) == nil)
                    // The last byte of the varint made one that wants another.
                    var damaged = request
                    damaged[request.count - padding - 2 - 1] |= 0x80
                    #expect(fault(damaged, .traces) != nil)
                }
            }
        }
    }
}
