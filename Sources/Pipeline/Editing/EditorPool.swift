internal import OTLP
import Synchronization

/// Editors that nobody uses at the moment. Any thread; their memory is charged to the ledger.
final class EditorPool: Sendable {
    /// One that has grown beyond this is not kept.
    private static let keptBytes = 2 << 20
    /// More are not kept: as many as loops are usual.
    private static let keptEditors = 8

    /// An editor, and what it is charged with. Used by one thread at a time.
    final class Loan: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): the pool lends it to one thread at a time.
        let editor = RequestEditor()
        fileprivate(set) var chargedBytes = 0
    }

    private let free = Mutex<[Loan]>([])
    private let ledger: MemoryLedger

    init(ledger: MemoryLedger) {
        self.ledger = ledger
    }

    deinit {
        ledger.release(free.withLock { $0.reduce(0) { $0 + $1.chargedBytes } })
    }

    func withEditor<Result>(_ body: (RequestEditor) -> Result) -> Result {
        let loan = free.withLock { $0.popLast() } ?? Loan()
        let result = body(loan.editor)
        loan.editor.open(.none)
        giveBack(loan)
        return result
    }

    private func giveBack(_ loan: Loan) {
        let bytes = loan.editor.workingBytes
        let isKept =
            bytes <= Self.keptBytes
            && free.withLock { free in
                guard free.count < Self.keptEditors else { return false }
                ledger.charge(bytes - loan.chargedBytes)
                loan.chargedBytes = bytes
                free.append(loan)
                return true
            }
        if !isKept { ledger.release(loan.chargedBytes) }
    }
}
