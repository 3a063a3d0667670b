package import OTLP

/// An editor of a component that keeps it from request to request: what it holds is charged to the ledger. One thread at a
/// time.
package final class ChargedEditor {
    /// An editor that has grown beyond this is not kept.
    private static let keptBytes = 2 << 20
    /// What is granted beyond what was asked for, so that little growth asks rarely.
    private static let spareBytes = 256 << 10

    /// Another one after `close`.
    package private(set) var editor = RequestEditor()
    private let ledger: MemoryLedger
    private let asks: Bool
    private var chargedBytes = 0
    private var objection: Refusal?

    /// - Parameter asks: whether the memory limit may say no; else what is held is charged all the same.
    package init(ledger: MemoryLedger, asks: Bool = true) {
        (self.ledger, self.asks) = (ledger, asks)
        limit()
    }

    deinit { ledger.release(chargedBytes) }

    /// Why the editor got no more memory for the request that is open: what was read of it, or would be written, is not whole.
    package var refusal: Refusal? { editor.isOutOfMemory ? objection : nil }

    /// Gives up the request that is open.
    package func close() {
        editor.open(.none)
        var bytes = editor.workingBytes
        if bytes == chargedBytes { return }
        if bytes > Self.keptBytes {
            editor = RequestEditor()
            bytes = editor.workingBytes
        }
        ledger.charge(bytes - chargedBytes)
        chargedBytes = bytes
        limit()
    }

    /// Charges what the editor comes to hold, as long as the memory limit agrees.
    private func limit() {
        editor.limitMemory(to: chargedBytes) { [unowned self] bytes in
            let more = bytes + Self.spareBytes - chargedBytes
            objection = asks ? ledger.admit(bytes: more) : nil
            guard objection == nil else { return nil }
            ledger.charge(more)
            chargedBytes += more
            return chargedBytes
        }
    }
}
