extension [UInt8] {
    /// Lends the bytes for one call that may throw an error of a known type. Any thread.
    func withReadableBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        // SAFETY: the pointer is used inside the call only.
        let result = unsafe withUnsafeBytes { bytes -> Result<Value, Failure> in
            do throws(Failure) {
                return .success(unsafe try body(bytes))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
