import Testing

@testable import Hashing

/// Without these a value would be replaced by another text than every other tool makes of it, and no join would work.
@Suite("Digest")
struct DigestTests {
    /// The published values for "abc" (RFC 1321, FIPS 180-4, FIPS 202).
    @Test(
        "digests are the published ones",
        arguments: [
            (Digest.md5, "900150983cd24fb0d6963f7d28e17f72"),
            (.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                .sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                    + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
            ),
            (.sha3, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        ])
    func published(algorithm: Digest, expected: String) {
        #expect(String(decoding: algorithm.hex(of: Array("abc".utf8)), as: UTF8.self) == expected)
    }

    /// An empty value must have a digest, too: it is not the same as no value.
    @Test("nothing has a digest")
    func nothing() {
        #expect(
            String(decoding: Digest.sha256.hex(of: []), as: UTF8.self)
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    /// RFC 4231 section 4.3.
    @Test("HMAC is the published one")
    func hmac() {
        let code = Digest.sha256.hex(of: Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(
            String(decoding: code, as: UTF8.self)
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }
}
