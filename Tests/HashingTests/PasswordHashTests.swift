import Hashing
import Testing

/// Compared with what `openssl passwd` and libxcrypt make. A fault here lets strangers in, or keeps everybody out.
@Suite("passwords' hashes")
struct PasswordHashTests {
    private func crypt(_ magic: String, _ salt: String, _ digits: String) -> PasswordHash {
        .md5Crypt(magic: Array(magic.utf8), salt: Array(salt.utf8), digits: Array(digits.utf8))
    }

    @Test("a thousand rounds of MD5, with the magic of Apache and of FreeBSD")
    func md5Crypt() {
        let apache = crypt("$apr1$", "abcdefgh", "h9FWgUz3n9YxylKLlR5SQ/")
        #expect(apache.matches(Array("secret".utf8)))
        #expect(!apache.matches(Array("Secret".utf8)))
        #expect(!apache.matches([]))
        #expect(crypt("$1$", "abcdefgh", "cHJi5PXp/ki/ktXzqlk6I1").matches(Array("secret".utf8)))
        let long = crypt("$apr1$", "abcdefgh", "Eqv4oIyMsS.tjfvQCJYY1/")
        #expect(long.matches(Array("a much longer password than sixteen bytes".utf8)))
    }

    @Test(
        "bcrypt in its three spellings",
        arguments: [
            "$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
        ])
    func bcrypt(text: String) {
        let hash = PasswordHash.bcrypt(Array(text.utf8))
        #expect(hash.isSlow)
        #expect(hash.matches(Array("secret".utf8)))
        #expect(!hash.matches(Array("secre".utf8)))
        #expect(!hash.matches([]))
    }

    @Test("a bcrypt hash that is none is nobody's")
    func brokenBcrypt() {
        #expect(!PasswordHash.bcrypt(Array("$2y$xx".utf8)).matches(Array("secret".utf8)))
        #expect(!PasswordHash.bcrypt([]).matches([]))
    }
}
