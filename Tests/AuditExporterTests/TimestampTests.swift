import AuditLog
import Hashing
import Testing

@testable import AuditExporter

/// Without these a checkpoint could be taken for timestamped by an answer that says something else.
@Suite("Timestamps")
struct TimestampTests {
    let query = TimestampQuery(Hash256(of: [1]), nonce: 0x7102_0304_0506_0708)

    /// As `openssl ts -query` writes it, but for the nonce.
    @Test("a query is the DER of RFC 3161 section 2.4.1")
    func form() {
        #expect(query.bytes.count == 69)
        #expect(
            query.bytes.prefix(24).elementsEqual([
                0x30, 67, 2, 1, 1, 0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0,
                4, 32,
            ]))
        #expect(query.bytes.suffix(13).elementsEqual([2, 8, 0x71, 2, 3, 4, 5, 6, 7, 8, 1, 1, 0xff]))
    }

    @Test("only an answer that grants this query is taken")
    func answers() {
        let token = Array(query.bytes[5...])
        func answer(_ status: UInt8, _ token: [UInt8]) -> [UInt8] {
            [0x30, 0x82, 0, UInt8(5 + token.count), 0x30, 3, 2, 1, status] + token
        }
        #expect(query.problem(of: answer(0, token)) == nil)
        #expect(query.problem(of: answer(1, token)) == nil)
        #expect(query.problem(of: answer(2, token))?.contains("status 2") == true)
        let other = TimestampQuery(Hash256(of: [2]), nonce: 0x7102_0304_0506_0708)
        #expect(query.problem(of: answer(0, Array(other.bytes[5...])))?.contains("something else") == true)
        #expect(query.problem(of: answer(0, [])) != nil)
        for bytes in [[], [0x30], [0x30, 0x84, 1], Array("<html>".utf8)] {
            #expect(query.problem(of: bytes)?.contains("no timestamp response") == true)
        }
    }
}
