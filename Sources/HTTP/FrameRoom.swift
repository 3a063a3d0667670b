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
    /// A loop has its thread to itself.
    private static let ofThread = ThreadSpecificVariable<FrameRoom>()
    /// More than nghttp2's room for frames, which is 16 KiB and a frame's head.
    static let byteCount = 17 << 10

    private let eventLoop: any EventLoop
    // SAFETY: owned, freed in deinit; sessions keep the object (`SessionMemory`).
    let bytes: UnsafeMutableRawPointer

    private init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        unsafe bytes = .allocate(byteCount: Self.byteCount, alignment: 16)
    }

    deinit { unsafe bytes.deallocate() }

    /// That of the loop that this is called on.
    static func of(_ eventLoop: any EventLoop) -> FrameRoom {
        eventLoop.preconditionInEventLoop()
        if let room = ofThread.currentValue, room.eventLoop === eventLoop { return room }
        let room = FrameRoom(eventLoop)
        ofThread.currentValue = room
        return room
    }
}
