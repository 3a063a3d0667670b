/// The keys whose signatures on checkpoints count, each for a range of sizes.
package struct Keyring: Sendable, Equatable {
    /// One line.
    package struct Entry: Sendable, Equatable {
        package let verifier: VerifierKey
        package let sizes: ClosedRange<UInt64>
    }

    package private(set) var entries: [Entry] = []

    /// One key for all sizes.
    package init(_ verifier: VerifierKey) {
        entries = [Entry(verifier: verifier, sizes: 0...UInt64.max)]
    }

    /// Reads a keyring: lines `VERIFIER-KEY [FIRST-SIZE [LAST-SIZE]]`; `#` begins a comment.
    /// - Parameter name: of the file, for messages.
    package init(text: String, name: String) throws(KeyError) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard let key = words.first else { continue }
            let place = "line \(index + 1) of \"\(name)\""
            guard let verifier = VerifierKey(text: key) else {
                throw KeyError(
                    description: "\(place) has no verifier key NAME+ID+BASE64 of Ed25519: \"\(key)\"")
            }
            let sizes = words.dropFirst().compactMap { UInt64($0) }
            guard words.count <= 3, sizes.count == words.count - 1 else {
                throw KeyError(description: "\(place) must be: VERIFIER-KEY [FIRST-SIZE [LAST-SIZE]]")
            }
            let first = sizes.first ?? 0
            let last = sizes.count == 2 ? sizes[1] : .max
            guard first <= last else {
                throw KeyError(description: "\(place) ends at size \(last), before it begins at \(first)")
            }
            entries.append(Entry(verifier: verifier, sizes: first...last))
        }
        guard !entries.isEmpty else { throw KeyError(description: "\"\(name)\" has no keys") }
    }

    /// The checkpoint of a note.
    /// - Throws: it is none, or no key whose range its size is in has signed it.
    package func checkpoint(of note: String) throws(KeyError) -> Checkpoint {
        guard let signed = SignedNote(note: note), let checkpoint = Checkpoint(text: signed.text) else {
            throw KeyError(description: "is no signed checkpoint")
        }
        guard isSigned(signed, size: checkpoint.size) else {
            let names = signed.signatures.map { "\($0.name)+\(String($0.keyID, radix: 16))" }
            throw KeyError(
                description:
                    "of size \(checkpoint.size) is signed by \(names.joined(separator: ", ")), and no key of the "
                    + "keyring for this size agrees")
        }
        return checkpoint
    }

    /// Whether a key for this size has signed a note.
    func isSigned(_ note: SignedNote, size: UInt64) -> Bool {
        entries.contains { $0.sizes.contains(size) && note.isSigned(by: $0.verifier) }
    }
}
