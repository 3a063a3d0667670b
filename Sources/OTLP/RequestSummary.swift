internal import COTLP

/// What one valid `Export*ServiceRequest` holds.
package struct RequestSummary: Sendable, Equatable {
    /// Spans, metric data points or log records.
    package var items: Int
    /// `resource_spans`, `resource_metrics` or `resource_logs` entries.
    package var resources: Int
    /// `scope_*` entries of all resources.
    package var scopes: Int

    @inlinable
    package init(items: Int, resources: Int, scopes: Int = 0) {
        self.items = items
        self.resources = resources
        self.scopes = scopes
    }
}

/// Checks the bytes of one request from first to last and counts what is in them.
///
/// What passes here is safe to forward, to merge with other requests, to split and to read with
/// `WireBytes`: lengths, wire types, varints, packed lists, nesting (64 values deep), ids and UTF-8 of text
/// are all in order, and what a field holds once stands in one part. Fields unknown to the schema pass when they are well-formed. No bytes at all are the valid
/// empty request.
///
/// Any thread. Borrows the bytes for the call.
/// - Throws: `WireError`, with the first fault found.
/// - Complexity: one pass; allocates nothing unless it throws.
package func summarize(
    _ bytes: UnsafeRawBufferPointer, as signal: Signal
) throws(WireError) -> RequestSummary {
    unsafe try check(bytes.assumingMemoryBound(to: UInt8.self), as: signal)
}

private func check(
    _ bytes: UnsafeBufferPointer<UInt8>, as signal: Signal
) throws(WireError) -> RequestSummary {
    var summary = cotlp_summary()
    var fault = unsafe cotlp_fault()
    // SAFETY: the pass reads only these count bytes, during this call.
    let code = unsafe cotlp_check(Int32(signal.rawValue), bytes.baseAddress, bytes.count, &summary, &fault)
    guard code == COTLP_VALID else { throw unsafe WireError(fault) }
    return RequestSummary(items: summary.items, resources: summary.resources, scopes: summary.scopes)
}
