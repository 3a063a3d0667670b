internal import CNghttp2
internal import Glibc

/// Where one server's session of nghttp2 has its memory: from malloc, but for what takes much and is seldom used.
///
/// The room for frames is shared (`FrameRoom`); the table of streams can be given back while there are none.
@safe
final class SessionMemory {
    private struct State {
        let room: Int
        /// Whether the session is being made and has not asked for its room, and its table.
        var offersRoom = true
        var offersTable = true
        /// The table of streams, until it is exchanged for a larger one.
        var table = 0
    }

    /// Nothing else that a session asks for when it is made has these sizes.
    private static let roomBytes = (16 << 10)...FrameRoom.byteCount
    private static let tableBytes = 4096

    private let room: FrameRoom
    // SAFETY: owned, freed in deinit; the session keeps the object and is gone before it.
    private let state: UnsafeMutablePointer<State>

    init(_ room: FrameRoom) {
        self.room = room
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State(room: Int(bitPattern: room.bytes)))
    }

    deinit { unsafe state.deallocate() }

    /// Calls `make` with the memory functions of a session.
    func make(_ make: (UnsafeMutablePointer<nghttp2_mem>) -> Int32) -> Int32 {
        // SAFETY: the state lives as long as this object.
        var memory = unsafe nghttp2_mem(
            mem_user_data: state,
            malloc: { size, _ in unsafe malloc(size) },
            free: { bytes, state in unsafe SessionMemory.free(bytes, SessionMemory.from(state)) },
            calloc: { count, size, state in
                unsafe SessionMemory.table(count * size, SessionMemory.from(state)) ?? calloc(count, size)
            },
            realloc: { bytes, size, state in
                // Its buffers are asked for so.
                if unsafe bytes == nil, let room = unsafe SessionMemory.room(size, SessionMemory.from(state))
                {
                    return unsafe room
                }
                unsafe precondition(Int(bitPattern: bytes) != SessionMemory.from(state).pointee.room)
                return unsafe realloc(bytes, size)
            })
        let code = unsafe make(&memory)
        unsafe state.pointee.offersRoom = false
        unsafe state.pointee.offersTable = false
        return code
    }

    /// Gives back the table of streams when it is empty: all zeros, which is what it has then without any memory.
    func giveBack() {
        guard let table = unsafe UnsafeMutableRawPointer(bitPattern: state.pointee.table) else { return }
        // SAFETY: a whole page, the session's until `free` forgets it.
        let isEmpty = unsafe UnsafeRawBufferPointer(start: table, count: Self.tableBytes).allSatisfy {
            $0 == 0
        }
        // Fails when there is nothing to give back only.
        if isEmpty { _ = unsafe madvise(table, Self.tableBytes, MADV_DONTNEED) }
    }

    private static func from(_ userData: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<State> {
        // SAFETY: what `make` gave.
        unsafe userData.unsafelyUnwrapped.assumingMemoryBound(to: State.self)
    }

    private static func room(_ size: Int, _ state: UnsafeMutablePointer<State>) -> UnsafeMutableRawPointer? {
        guard unsafe state.pointee.offersRoom, roomBytes.contains(size) else { return nil }
        unsafe state.pointee.offersRoom = false
        return unsafe UnsafeMutableRawPointer(bitPattern: state.pointee.room)
    }

    /// A page of zeros of its own.
    private static func table(_ size: Int, _ state: UnsafeMutablePointer<State>) -> UnsafeMutableRawPointer? {
        guard unsafe state.pointee.offersTable, size == tableBytes, sysconf(Int32(_SC_PAGESIZE)) == tableBytes
        else { return nil }
        var table: UnsafeMutableRawPointer?
        guard unsafe posix_memalign(&table, tableBytes, tableBytes) == 0, let table = unsafe table else {
            return nil
        }
        unsafe memset(table, 0, tableBytes)
        unsafe state.pointee.offersTable = false
        unsafe state.pointee.table = Int(bitPattern: table)
        return unsafe table
    }

    private static func free(_ bytes: UnsafeMutableRawPointer?, _ state: UnsafeMutablePointer<State>) {
        let address = Int(bitPattern: bytes)
        guard unsafe bytes != nil, unsafe address != state.pointee.room else { return }
        if unsafe address == state.pointee.table { unsafe state.pointee.table = 0 }
        unsafe Glibc.free(bytes)
    }
}
