internal import COTLP

/// Memory for one tree at a time, kept from tree to tree. Owned by one event loop; not for two threads at a
/// time.
@safe
package final class TreeArena {
    /// Most bytes that a tree may take. A tree takes several times the bytes of its request.
    package let limitBytes: Int
    /// Owned; destroyed with self.
    fileprivate let raw: OpaquePointer
    fileprivate var isInUse = false

    /// - limitBytes: for 64 MiB requests, 640 MiB hold any tree.
    package init(limitBytes: Int) {
        precondition(limitBytes > 0, "an arena without room")
        guard let raw = unsafe cotlp_arena_create(limitBytes) else { preconditionFailure("out of memory") }
        unsafe self.raw = unsafe raw
        self.limitBytes = limitBytes
    }

    deinit {
        // SAFETY: a tree keeps its arena alive, so none is left.
        unsafe cotlp_arena_destroy(raw)
    }

    /// Bytes that the tree in the arena takes.
    package var usedBytes: Int { unsafe cotlp_arena_used(raw) }
}

/// Why a request has no tree.
package enum TreeError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes are not a valid request, or hold text with a NUL byte, which a tree cannot keep.
    case invalid(WireError)
    /// The tree would take more than the arena's limit.
    case arenaFull(limitBytes: Int)

    package var description: String {
        switch self {
        case .invalid(let error): error.description
        case .arenaFull(let limitBytes):
            "the decoded request takes more than the limit of \(limitBytes) bytes"
        }
    }
}

/// A request as a tree of messages, for a processor that edits fields; all others read the bytes.
///
/// Owns its place in the arena and gives it back with its end. Not for two threads at a time.
@safe
package final class RequestTree {
    package let signal: Signal
    private let arena: TreeArena
    /// Lives in the arena.
    private let root: OpaquePointer

    /// Builds the tree; borrows the bytes for the call.
    /// Precondition: no other tree lives in the arena.
    package init(
        decoding bytes: UnsafeRawBufferPointer, as signal: Signal, in arena: TreeArena
    ) throws(TreeError) {
        precondition(!arena.isInUse, "an arena holds one tree at a time")
        var root: OpaquePointer?
        var fault = unsafe cotlp_fault()
        let memory = unsafe bytes.assumingMemoryBound(to: UInt8.self)
        // SAFETY: reads only these bytes, during this call; the tree copies what it keeps into the arena.
        let code = unsafe cotlp_tree_decode(
            arena.raw, Int32(signal.rawValue), memory.baseAddress, memory.count, &root, &fault)
        guard code == COTLP_VALID, let root = unsafe root else {
            unsafe cotlp_arena_reset(arena.raw)
            if code == COTLP_NO_MEMORY { throw .arenaFull(limitBytes: arena.limitBytes) }
            throw unsafe .invalid(WireError(fault))
        }
        self.signal = signal
        self.arena = arena
        unsafe self.root = unsafe root
        arena.isInUse = true
    }

    deinit {
        // SAFETY: nothing else points into the arena.
        unsafe cotlp_arena_reset(arena.raw)
        arena.isInUse = false
    }

    /// Spans, metric data points or log records.
    package var itemCount: Int { unsafe cotlp_tree_count_items(root, Int32(signal.rawValue)) }

    /// The protobuf encoding, with the fields unknown to the schema.
    package func encode() -> [UInt8] {
        let count = unsafe cotlp_tree_encoded_size(root)
        return unsafe Array(unsafeUninitializedCapacity: count) { buffer, initializedCount in
            // SAFETY: encoding writes exactly count bytes; an empty array may have no address and gets none.
            if let start = buffer.baseAddress, count > 0 { unsafe cotlp_tree_encode(root, start) }
            initializedCount = count
        }
    }
}
