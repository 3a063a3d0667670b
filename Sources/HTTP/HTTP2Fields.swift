internal import CNghttp2

/// An immutable header section to send, in the form that nghttp2 takes.
///
/// Owns its bytes; nghttp2 copies them when a section is submitted. Made once for answers that are always the same.
/// Any thread.
@safe
package final class HTTP2Fields: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): written in init only; freed when the last reference goes.
    private let bytes: UnsafeMutablePointer<UInt8>
    private let pairs: UnsafeMutablePointer<nghttp2_nv>
    private let count: Int

    /// - Parameter fields: names in lower case, pseudo fields first. Values must hold no line breaks.
    package init(_ fields: [(name: String, value: String)]) {
        count = fields.count
        let size = fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        unsafe bytes = .allocate(capacity: max(size, 1))
        unsafe pairs = .allocate(capacity: max(count, 1))
        var next = unsafe bytes
        for (index, field) in fields.enumerated() {
            let name = unsafe next
            for byte in field.name.utf8 {
                unsafe next.initialize(to: byte)
                unsafe next += 1
            }
            let value = unsafe next
            for byte in field.value.utf8 {
                unsafe next.initialize(to: byte)
                unsafe next += 1
            }
            // SAFETY: index < count; name and value point into `bytes`, which lives as long as `pairs`.
            unsafe (pairs + index).initialize(
                to: nghttp2_nv(
                    name: name, value: value, namelen: field.name.utf8.count,
                    valuelen: field.value.utf8.count, flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
        }
    }

    deinit {
        unsafe bytes.deallocate()
        unsafe pairs.deallocate()
    }

    /// Lends the pairs for one call.
    func withPairs<Result>(_ body: (UnsafePointer<nghttp2_nv>, Int) -> Result) -> Result {
        unsafe body(pairs, count)
    }
}
