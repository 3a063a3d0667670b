package import OTLP

/// A trace, or a part of it, to be looked at. Borrows the store's bytes for as long as nothing is taken out of it.
package struct TraceView {
    package let trace: TraceID
    private let chain: SpanChain
    private let envelopes: EnvelopeTable

    package init(_ trace: TraceID, _ chain: SpanChain, _ envelopes: EnvelopeTable) {
        self.trace = trace
        self.chain = chain
        self.envelopes = envelopes
    }

    package var spans: Int { chain.spans }
    /// Of a request with nothing but these spans, near enough.
    package var wireBytes: Int { chain.wireBytes }

    /// Of all spans, if the grouper makes summaries.
    package var summary: SpanSummary { chain.summary }

    /// Whether something holds for a span, in the order in which they came.
    package func containsSpan(where holds: (WireBytes) -> Bool) -> Bool {
        contains(where: { _ in false }, orSpan: holds)
    }

    /// Whether something holds for the resource of some spans, or something else for a span. Resources are `Resource`
    /// messages.
    package func contains(where resourceHolds: (WireBytes) -> Bool, orSpan holds: (WireBytes) -> Bool) -> Bool
    {
        var lastEnvelope: EnvelopeTable.ID = -1
        for fragment in chain.fragments {
            let envelope = fragment.envelope
            if envelope != lastEnvelope {
                lastEnvelope = envelope
                let isFound = envelopes.withBytes(envelopes.resource(of: envelope)) {
                    resourceHolds($0.message(Field.ResourceEntry.resource))
                }
                if isFound { return true }
            }
            for field in fragment.fields.fields where holds(field.bytes) { return true }
        }
        return false
    }

    /// Gives the spans with all that stands around them: `ResourceSpans` and `ScopeSpans` less their children.
    package func forEachSpan<Failure: Error>(
        _ body: (_ resource: WireBytes, _ scope: WireBytes, _ span: WireBytes) throws(Failure) -> Void
    ) throws(Failure) {
        for fragment in chain.fragments {
            let failure = envelopes.withBytes(envelopes.resource(of: fragment.envelope)) { resource in
                envelopes.withBytes(fragment.envelope) { scope -> Failure? in
                    do throws(Failure) {
                        for field in fragment.fields.fields { try body(resource, scope, field.bytes) }
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            if let failure { throw failure }
        }
    }
}
