internal import CNghttp2
internal import Glibc
internal import NIOCore
internal import NIOPosix

/// The room in which nghttp2 makes the frames that it sends, one for all servers' sessions of an event loop.
///
/// nghttp2 takes 16 KiB for each session and keeps them as long as it lives, but uses them only while it is asked for what
/// there is to send: `HTTP2Session.send` asks until nothing is left, so that nothing stays in them between two calls.
@safe
final class FrameRoom: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): touched on the thread of its loop only; its thread's variable gives no other.
    @unsafe private struct State {
        let bytes: UnsafeMutableRawPointer
        /// Whether a session is being made that has not been given the room.
        var isOffered = false
    }

    /// A loop has its thread to itself.
    private static let ofThread = ThreadSpecificVariable<FrameRoom>()
    /// More than nghttp2's room for frames, which is 16 KiB and a frame's head.
    private static let byteCount = 17 << 10
    /// A session asks for nothing else of this size when it is made.
    private static let frameBytes = 16 << 10

    private let eventLoop: any EventLoop
    // SAFETY: owned, freed in deinit; sessions keep the object (`HTTP2Session.room`).
    private let state: UnsafeMutablePointer<State>

    private init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State(bytes: .allocate(byteCount: Self.byteCount, alignment: 16)))
    }

    deinit {
        unsafe state.pointee.bytes.deallocate()
        unsafe state.deallocate()
    }

    /// That of the loop that this is called on.
    static func of(_ eventLoop: any EventLoop) -> FrameRoom {
        eventLoop.preconditionInEventLoop()
        if let room = ofThread.currentValue, room.eventLoop === eventLoop { return room }
        let room = FrameRoom(eventLoop)
        ofThread.currentValue = room
        return room
    }

    /// Calls `make` with the memory functions of a session, which must not outlive this object.
    func make(_ make: (UnsafeMutablePointer<nghttp2_mem>) -> Int32) -> Int32 {
        unsafe state.pointee.isOffered = true
        defer { unsafe state.pointee.isOffered = false }
        // SAFETY: the state lives as long as this object, which the session keeps.
        var memory = unsafe nghttp2_mem(
            mem_user_data: state,
            malloc: { size, state in unsafe FrameRoom.take(size, state) },
            free: { bytes, state in if unsafe !FrameRoom.isRoom(bytes, state) { unsafe free(bytes) } },
            calloc: { count, size, _ in unsafe calloc(count, size) },
            realloc: { bytes, size, state in
                unsafe precondition(!FrameRoom.isRoom(bytes, state), "nghttp2 grows its room by a new one")
                return unsafe realloc(bytes, size)
            })
        return unsafe make(&memory)
    }

    private static func take(_ size: Int, _ state: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let state = unsafe state?.assumingMemoryBound(to: State.self), unsafe state.pointee.isOffered,
            (frameBytes...byteCount).contains(size)
        else { return unsafe malloc(size) }
        unsafe state.pointee.isOffered = false
        return unsafe state.pointee.bytes
    }

    private static func isRoom(_ bytes: UnsafeMutableRawPointer?, _ state: UnsafeMutableRawPointer?) -> Bool {
        unsafe bytes != nil && bytes == state?.assumingMemoryBound(to: State.self).pointee.bytes
    }
}
