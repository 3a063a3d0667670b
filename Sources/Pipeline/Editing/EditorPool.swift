internal import OTLP
import Synchronization

/// Editors that nobody uses at the moment. Any thread; their memory is charged to the ledger.
final class EditorPool: Sendable {
    /// One that has grown beyond this is not kept.
    private static let keptBytes = 2 << 20
    /// More are not kept: as many as loops are usual.
    private static let keptEditors = 8

    /// What is granted beyond what was asked for, so that little growth asks rarely.
    private static let spareBytes = 256 << 10

    /// An editor, and what it is charged with. Used by one thread at a time.
    final class Loan: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): the pool lends it to one thread at a time.
        let editor = RequestEditor()
        fileprivate(set) var chargedBytes = 0
        /// Why the editor got no more memory.
        private(set) var refusal: Refusal?

        /// Charges what the editor comes to hold, as long as the memory limit agrees.
        fileprivate func begin(_ ledger: MemoryLedger) {
            refusal = nil
            editor.limitMemory(to: chargedBytes) { [unowned self] bytes in
                let more = bytes + EditorPool.spareBytes - chargedBytes
                refusal = ledger.admit(bytes: more)
                guard refusal == nil else { return nil }
                ledger.charge(more)
                chargedBytes += more
                return chargedBytes
            }
        }
    }

    private let free = Mutex<[Loan]>([])
    private let ledger: MemoryLedger

    init(ledger: MemoryLedger) {
        self.ledger = ledger
    }

    deinit {
        ledger.release(free.withLock { $0.reduce(0) { $0 + $1.chargedBytes } })
    }

    func withEditor<Result>(_ body: (Loan) -> Result) -> Result {
        let loan = free.withLock { $0.popLast() } ?? Loan()
        loan.begin(ledger)
        let result = body(loan)
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
