/// How much memory an editor may hold: asked for more when it has grown, and told when there is none. Not thread safe.
///
/// A reference, as `EditorList`; the editor deallocates it.
@safe
struct EditorBudget {
    @unsafe private struct State {
        var granted = Int.max
        /// Bytes of the lists.
        var lists = 0
        var isExhausted = false
        var ask: (Int) -> Int? = { _ in nil }
    }

    private let state: UnsafeMutablePointer<State>

    init() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State())
    }

    /// Once, by the owner, when nobody uses it any more.
    func deallocate() {
        unsafe state.deinitialize(count: 1)
        unsafe state.deallocate()
    }

    /// See `RequestEditor.limitMemory`.
    func limit(to granted: Int, _ ask: @escaping (Int) -> Int?) {
        unsafe state.pointee.granted = granted
        unsafe state.pointee.ask = ask
    }

    var isExhausted: Bool { unsafe state.pointee.isExhausted }

    func reset() { unsafe state.pointee.isExhausted = false }

    /// Says how many bytes the lists have.
    func hold(lists bytes: Int) { unsafe state.pointee.lists = bytes }

    /// Whether so many bytes may be held beside the lists. Once they may not, nothing more is asked for until `reset`.
    @discardableResult
    func allows(_ more: Int) -> Bool {
        let bytes = unsafe more + state.pointee.lists
        guard unsafe bytes > state.pointee.granted else { return true }
        guard unsafe !state.pointee.isExhausted, let granted = unsafe state.pointee.ask(bytes) else {
            unsafe state.pointee.isExhausted = true
            return false
        }
        unsafe state.pointee.granted = granted
        return true
    }
}
