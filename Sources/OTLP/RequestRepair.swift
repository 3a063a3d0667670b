internal import COTLP

/// A request that is well-formed, but not what everything behind `summarize` can rely on, and what it takes to make it so.
///
/// What is not UTF-8 in a text becomes U+FFFD. What protobuf lets a sender write in several parts is written in one: a
/// message that a field holds once, of which readers see the fields of all parts, and a list of numbers. Every other text
/// and number stays as it is. One repair mends one of the two. Any thread.
package struct RequestRepair: Sendable {
    /// What the request holds as it came. Of one that was scattered less may be left.
    package let summary: RequestSummary
    /// Room that it takes to write the repaired request: at most three times the original's, and some for lengths.
    package let roomBytes: Int
    /// Texts to repair by resource entry, in order. The last entry has those of all further ones, too.
    package let texts: [(resource: Int, count: Int)]
    private let signal: Signal
    private let mergesParts: Bool

    /// Looks over a request that `summarize` has refused for a reason that `isRepairable`. Borrows the bytes.
    /// - Throws: `WireError`, when something else is wrong, too.
    package init(
        of bytes: UnsafeRawBufferPointer, as signal: Signal, for reason: WireError.Reason
    ) throws(WireError) {
        self.signal = signal
        mergesParts = reason == .scattered
        var summary = cotlp_summary()
        if mergesParts {
            roomBytes = unsafe try Self.merge(bytes, signal, into: nil, &summary).room
            texts = []
        } else {
            let repairs = unsafe try Self.run(bytes, signal, into: nil, &summary)
            roomBytes = repairs.size
            texts = (0..<repairs.count).map { index in
                let entry = Self.entry(repairs, index)
                return (resource: entry.resource, count: entry.texts)
            }
        }
        self.summary = RequestSummary(
            items: summary.items, resources: summary.resources, scopes: summary.scopes)
    }

    /// Writes the repaired request.
    /// - Parameters:
    ///   - bytes: the same request.
    ///   - output: `roomBytes` or more.
    /// - Returns: how many bytes it has.
    package func write(
        _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(output.count >= roomBytes, "less room than asked for: \(output.count)")
        var summary = cotlp_summary()
        do throws(WireError) {
            let target = unsafe output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            if mergesParts { return unsafe try Self.merge(bytes, signal, into: target, &summary).size }
            return unsafe try Self.run(bytes, signal, into: target, &summary).size
        } catch {
            preconditionFailure("the request has changed: \(error)")
        }
    }

    /// A request after all repairs that it needs. For tools, since it copies.
    /// - Throws: something else is wrong with it.
    package static func mended(_ request: [UInt8], as signal: Signal) throws(WireError) -> [UInt8] {
        do throws(WireError) {
            _ = unsafe try request.withBytes { (bytes) throws(WireError) in
                unsafe try summarize(bytes, as: signal)
            }
            return request
        } catch {
            guard error.isRepairable else { throw error }
            let reason = error.reason
            let mended = unsafe try request.withBytes { (bytes) throws(WireError) in
                let repair = unsafe try RequestRepair(of: bytes, as: signal, for: reason)
                return unsafe [UInt8](unsafeUninitializedCapacity: repair.roomBytes) { room, filled in
                    filled = unsafe repair.write(bytes, into: UnsafeMutableRawBufferPointer(room))
                }
            }
            return try Self.mended(mended, as: signal)
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

    private static func merge(
        _ bytes: UnsafeRawBufferPointer, _ signal: Signal, into output: UnsafeMutablePointer<UInt8>?,
        _ summary: inout cotlp_summary
    ) throws(WireError) -> cotlp_merged {
        var fault = unsafe cotlp_fault()
        var merged = cotlp_merged()
        // SAFETY: only what was written to is ever read.
        let parts = UnsafeMutablePointer<cotlp_part>.allocate(capacity: Int(COTLP_PARTS_MAX))
        defer { unsafe parts.deallocate() }
        // SAFETY: reads these count bytes during this call; writes into the room that the first run has told.
        let code = unsafe cotlp_check_merging(
            Int32(signal.rawValue), bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
            output, &merged, parts, &summary, &fault)
        guard code == COTLP_VALID else { throw unsafe WireError(fault) }
        return merged
    }

    private static func entry(_ repairs: cotlp_repairs, _ index: Int) -> cotlp_repaired {
        var entries = repairs.entries
        return unsafe withUnsafeBytes(of: &entries) { bytes in
            // SAFETY: the array of C is a tuple of COTLP_REPAIRED_MAX entries, laid out one after the other.
            unsafe bytes.bindMemory(to: cotlp_repaired.self)[index]
        }
    }
}

extension [UInt8] {
    fileprivate func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws(WireError) -> Result
    ) throws(WireError) -> Result {
        // SAFETY: borrowed for the call.
        unsafe try withUnsafeBufferPointer { (bytes) throws(WireError) in
            unsafe try body(UnsafeRawBufferPointer(bytes))
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
