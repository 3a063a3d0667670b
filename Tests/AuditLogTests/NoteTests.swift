import Hashing
import Testing

@testable import AuditLog

/// Without these nobody else's verifier would take a checkpoint, or ours would take a forged one.
@Suite("Note")
struct NoteTests {
    /// Key and note of the documentation of Go's package note, which C2SP signed-note is the specification of.
    static let verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    static let note = """
        If you think cryptography is the answer to your problem,
        then you don't know what your problem is.

        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=

        """

    /// Foreign notes are the proof that ours are of the same form.
    @Test("a note of another implementation is checked")
    func foreign() throws {
        let key = try #require(VerifierKey(text: Self.verifier))
        let note = try #require(SignedNote(note: Self.note))
        #expect(note.isSigned(by: key))
        #expect(note.note == Self.note)
        #expect(key.text == Self.verifier)
        let changed = try #require(SignedNote(note: Self.note.replacing("answer", with: "question")))
        #expect(!changed.isSigned(by: key))
    }

    /// RFC 8032 section 7.1, test 2.
    @Test("a signature is the published one")
    func published() throws {
        let key = try #require(
            Hexadecimal.decode(Array("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb".utf8))
        )
        let publicKey = Ed25519.publicKey(of: key)
        let signature = Ed25519.sign([0x72], privateKey: key, publicKey: publicKey)
        let text = String(decoding: Digest.hexadecimal(signature), as: UTF8.self)
        #expect(
            text == "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
        #expect(Ed25519.isValid(signature, of: [0x72], publicKey: publicKey))
        #expect(!Ed25519.isValid(signature, of: [0x73], publicKey: publicKey))
        #expect(!Ed25519.isValid([], of: [0x72], publicKey: publicKey))
    }

    /// During a rotation readers with the old key and readers with the new one must both be able to check.
    @Test("two keys sign, and the keyring says which counts for which size")
    func keyring() throws {
        let (old, new) = (SigningKey.random(name: "log"), SigningKey.random(name: "log"))
        let checkpoint = Checkpoint(origin: "log", size: 100, root: Hash256(of: []))
        let note = SignedNote(checkpoint.text, signedBy: [new, old]).note
        let ring = try Keyring(
            text: "# keys\n\(old.verifier.text) 0 100 # retired\n\n\(new.verifier.text) 101\n", name: "ring")
        #expect(try ring.checkpoint(of: note) == checkpoint)
        let later = Checkpoint(origin: "log", size: 101, root: Hash256(of: []))
        #expect(throws: KeyError.self) {
            try ring.checkpoint(of: SignedNote(later.text, signedBy: [old]).note)
        }
        #expect(throws: KeyError.self) { try ring.checkpoint(of: "no note") }
        #expect(throws: KeyError.self) { try Keyring(text: "abc", name: "ring") }
        #expect(throws: KeyError.self) { try Keyring(text: "\(old.verifier.text) 9 3", name: "ring") }
        #expect(throws: KeyError.self) { try Keyring(text: "# nothing", name: "ring") }
    }

    /// The key of an operator comes from openssl as often as from here.
    @Test("a key file is read, unless others may read it")
    func keyFile() throws {
        // RFC 8410 section 10.3.
        let pem =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
        let key = try SigningKey(pem: pem, name: "log", path: "key.pem")
        #expect(key.pem == pem)
        #expect("\(key)".contains(key.verifier.text))
        let path = "/tmp/sluice-audit-key-\(UInt64.random(in: 0...UInt64.max)).pem"
        defer { TestFile.remove(path) }
        try key.write(to: path)
        #expect(try SigningKey(path: path, name: "log").verifier == key.verifier)
        #expect(throws: KeyError.self) { try key.write(to: path) }
        TestFile.permit(path, 0o640)
        let error = #expect(throws: KeyError.self) { try SigningKey(path: path, name: "log") }
        #expect(error?.description.contains("chmod 600") == true)
        #expect(throws: KeyError.self) { try SigningKey(pem: "x", name: "log", path: "key.pem") }
        #expect(throws: KeyError.self) { try SigningKey(pem: pem, name: "a b", path: "key.pem") }
        #expect(throws: KeyError.self) { try SigningKey(path: "/nowhere/key.pem", name: "log") }
    }
}
