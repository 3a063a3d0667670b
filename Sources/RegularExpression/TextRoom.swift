/// Memory of a text that is made, kept from text to text. Not thread safe.
///
/// A reference without a count, which its owner deallocates: texts are made for each item, on several threads.
@safe
package struct TextRoom {
    @unsafe private struct State {
        var bytes = unsafe UnsafeMutableBufferPointer<UInt8>(start: nil, count: 0)
        var count = 0
    }

    private let state: UnsafeMutablePointer<State>

    package init() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State())
    }

    /// Once, by the owner, when nobody uses it any more.
    package func deallocate() {
        unsafe state.pointee.bytes.deallocate()
        unsafe state.deallocate()
    }

    /// Bytes of the text.
    package var count: Int { unsafe state.pointee.count }

    /// The text, until it is changed.
    package var bytes: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(rebasing: state.pointee.bytes[..<count])
    }

    func removeAll() { unsafe state.pointee.count = 0 }

    @inline(__always)
    func append(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= text.count, "range is outside of the text")
        guard let source = text.baseAddress, !range.isEmpty else { return }
        let count = count
        if unsafe count + range.count > state.pointee.bytes.count { grow(to: count + range.count) }
        guard let room = unsafe state.pointee.bytes.baseAddress else { return }
        // SAFETY: the range was checked, and there is room.
        unsafe (room + count).update(from: source + range.lowerBound, count: range.count)
        unsafe state.pointee.count = count + range.count
    }

    func append(_ text: [UInt8]) {
        unsafe text.withUnsafeBufferPointer { unsafe append($0, 0..<$0.count) }
    }

    @inline(never)
    private func grow(to least: Int) {
        let larger = unsafe UnsafeMutableBufferPointer<UInt8>.allocate(
            capacity: max(2 * state.pointee.bytes.count, least, 256))
        _ = unsafe larger.update(fromContentsOf: bytes)
        unsafe state.pointee.bytes.deallocate()
        unsafe state.pointee.bytes = unsafe larger
    }
}
