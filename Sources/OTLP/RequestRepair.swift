internal import COTLP

/// A request whose texts are not all UTF-8, and what it takes to make them so.
///
/// What is not UTF-8 in a text becomes U+FFFD; every other text and number stays as it is. Any thread.
package struct RequestRepair: Sendable {
    /// What the request holds.
    package let summary: RequestSummary
    /// Bytes of the repaired request: at most three times the original's, and some for lengths.
    package let byteCount: Int
    /// Texts to repair by resource entry, in order. The last entry has those of all further ones, too.
    package let texts: [(resource: Int, count: Int)]
    private let signal: Signal

    /// Looks over a request that `summarize` has refused for `WireError.Reason.invalidUTF8`. Borrows the bytes.
    /// - Throws: `WireError`, when something else is wrong, too.
    package init(of bytes: UnsafeRawBufferPointer, as signal: Signal) throws(WireError) {
        var summary = cotlp_summary()
        let repairs = unsafe try Self.run(bytes, signal, into: nil, &summary)
        self.signal = signal
        self.summary = RequestSummary(
            items: summary.items, resources: summary.resources, scopes: summary.scopes)
        byteCount = repairs.size
        texts = (0..<repairs.count).map { index in
            let entry = Self.entry(repairs, index)
            return (resource: entry.resource, count: entry.texts)
        }
    }

    /// Writes the repaired request.
    /// - Parameters:
    ///   - bytes: the same request.
    ///   - output: `byteCount` bytes or more.
    package func write(_ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        precondition(output.count >= byteCount, "less room than asked for: \(output.count)")
        var summary = cotlp_summary()
        do throws(WireError) {
            let target = unsafe output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            _ = unsafe try Self.run(bytes, signal, into: target, &summary)
        } catch {
            preconditionFailure("the request has changed: \(error)")
        }
    }

    private static func run(
        _ bytes: UnsafeRawBufferPointer, _ signal: Signal, into output: UnsafeMutablePointer<UInt8>?,
        _ summary: inout cotlp_summary
    ) throws(WireError) -> cotlp_repairs {
        var fault = unsafe cotlp_fault()
        var repairs = cotlp_repairs()
        // SAFETY: reads these count bytes during this call; writes the size that the first run has told.
        let code = unsafe cotlp_check_repairing(
            Int32(signal.rawValue), bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
            output, &repairs, &summary, &fault)
        guard code == COTLP_VALID else { throw unsafe WireError(fault) }
        return repairs
    }

    private static func entry(_ repairs: cotlp_repairs, _ index: Int) -> cotlp_repaired {
        var entries = repairs.entries
        return unsafe withUnsafeBytes(of: &entries) { bytes in
            // SAFETY: the array of C is a tuple of COTLP_REPAIRED_MAX entries, laid out one after the other.
            unsafe bytes.bindMemory(to: cotlp_repaired.self)[index]
        }
    }
}

extension WireBytes {
    /// The `service.name` of a resource entry of a valid request, counted from 0; empty when it has none.
    package func serviceName(ofResource index: Int) -> String {
        var left = index
        for entry in fields where entry.number == Field.Request.resources {
            guard left == 0 else {
                left -= 1
                continue
            }
            for resource in entry.bytes.fields where resource.number == Field.ResourceEntry.resource {
                for attribute in resource.bytes.fields where attribute.number == Field.Resource.attributes {
                    if let name = attribute.bytes.value(ofKey: "service.name") { return name }
                }
            }
        }
        return ""
    }

    /// The text of a KeyValue of this key.
    private func value(ofKey key: StaticString) -> String? {
        var isWanted = false
        var text: String?
        for field in fields {
            if field.number == Field.KeyValue.key { isWanted = field.bytes == key }
            guard field.number == Field.KeyValue.value else { continue }
            for value in field.bytes.fields where value.number == Field.AnyValue.string {
                text = value.bytes.text
            }
        }
        return isWanted ? text : nil
    }
}
