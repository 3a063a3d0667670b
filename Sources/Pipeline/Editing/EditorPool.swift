import Synchronization

/// Editors that nobody uses at the moment. Any thread; their memory is charged to the ledger.
final class EditorPool: Sendable {
    /// More are not kept: as many as loops are usual.
    private static let keptEditors = 8

    private struct Free: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): an editor is used by the thread that took it out.
        var editors: [ChargedEditor] = []
    }

    private let free = Mutex(Free())
    private let ledger: MemoryLedger

    init(ledger: MemoryLedger) {
        self.ledger = ledger
    }

    func withEditor<Result>(_ body: (ChargedEditor) -> Result) -> Result {
        let editor = free.withLock { $0.editors.popLast() } ?? ChargedEditor(ledger: ledger)
        defer {
            editor.close()
            free.withLock { if $0.editors.count < Self.keptEditors { $0.editors.append(editor) } }
        }
        return body(editor)
    }
}
