internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Where the sessions of one event loop have their memory: each a slot of addresses of its own, which stay its own while
/// the pages behind them are given back. Event loop only.
///
/// Also the room in which nghttp2 makes the frames that it sends, one for all: it would take 16 KiB for each session and keep
/// them as long as it lives, but uses them only while it is asked for what there is to send. `HTTP2Session.send` asks until
/// nothing is left, so that nothing stays in them between two calls.
@safe
final class SessionSlots: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): touched on the thread of its loop only; its thread's variable gives no other.
    /// A loop has its thread to itself.
    private static let ofThread = ThreadSpecificVariable<SessionSlots>()
    /// More than nghttp2's room for frames, which is 16 KiB and a frame's head.
    static let roomBytes = 17 << 10
    /// What a session's memory is in: whole pages. A session that has served a few streams at a time takes half of it.
    static let slotBytes = max(16 << 10, Int(sysconf(Int32(_SC_PAGESIZE))))
    /// How many are asked of the system at a time.
    private static let slotsAtATime = 64
    /// Free slots whose pages are kept for the next sessions.
    private static let warmMax = 32
    /// How many sessions are put away in a row, a few microseconds each, and how long the loop does other things then.
    private static let (rowMax, pause) = (16, TimeAmount.milliseconds(2))

    /// What a session that has served a request takes more while it is not put away.
    private static let awakeBytes = 13 << 10
    /// How many sessions of a loop may be awake without a stream.
    private static let awakeMax = Atomic(Int.max)

    private let eventLoop: any EventLoop
    /// Sessions whose memory is not put away.
    var awake = 0
    // SAFETY: owned, freed in deinit; sessions keep this object (`SessionMemory`).
    let room: UnsafeMutableRawPointer
    /// Addresses of what was mapped, and of free slots, with pages and without.
    private var (mappings, warm, cold): ([Int], [Int], [Int]) = ([], [], [])
    /// Sessions that have been idle.
    private var idle: [HTTP2Session] = []
    private var isScheduled = false

    private init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        unsafe room = .allocate(byteCount: Self.roomBytes, alignment: 16)
    }

    deinit {
        unsafe room.deallocate()
        for mapping in mappings {
            // Fails only for what was not mapped.
            _ = unsafe munmap(
                UnsafeMutableRawPointer(bitPattern: mapping), Self.slotsAtATime * Self.slotBytes)
        }
    }

    /// Those of the loop that this is called on.
    static func of(_ eventLoop: any EventLoop) -> SessionSlots {
        eventLoop.preconditionInEventLoop()
        if let slots = ofThread.currentValue, slots.eventLoop === eventLoop { return slots }
        let slots = SessionSlots(eventLoop)
        ofThread.currentValue = slots
        return slots
    }

    /// So many bytes on so many loops. Any thread.
    static func limitAwake(toBytes bytes: Int, loops: Int) {
        awakeMax.store(bytes == .max ? .max : max(16, bytes / awakeBytes / loops), ordering: .relaxed)
    }

    /// Whether more are awake than should be without a stream.
    var areCrowded: Bool { awake > Self.awakeMax.load(ordering: .relaxed) }

    // MARK: - Slots

    /// A free slot; nil when the system has no memory.
    func take() -> UnsafeMutableRawPointer? {
        if warm.isEmpty, cold.isEmpty { map() }
        return unsafe (warm.popLast() ?? cold.popLast()).flatMap {
            unsafe UnsafeMutableRawPointer(bitPattern: $0)
        }
    }

    /// Takes a slot back.
    /// - Parameter isCold: whether its pages were given back.
    func give(_ slot: UnsafeMutableRawPointer, isCold: Bool) {
        if !isCold, warm.count < Self.warmMax { return warm.append(Int(bitPattern: slot)) }
        if !isCold { unsafe giveBackPages(slot) }
        cold.append(Int(bitPattern: slot))
    }

    /// Gives the pages of a slot back. It reads as zeros then.
    func giveBackPages(_ slot: UnsafeMutableRawPointer) {
        // Fails when there is nothing to give back only.
        _ = unsafe madvise(slot, Self.slotBytes, MADV_DONTNEED)
    }

    private func map() {
        let count = Self.slotsAtATime * Self.slotBytes
        let made = unsafe mmap(
            nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let made = unsafe made, unsafe made != MAP_FAILED else { return }
        // A huge page would be back as soon as one session wakes. Fails where there are none.
        _ = unsafe madvise(made, count, MADV_NOHUGEPAGE)
        mappings.append(Int(bitPattern: made))
        for index in (0..<Self.slotsAtATime).reversed() {
            cold.append(Int(bitPattern: made) + index * Self.slotBytes)
        }
    }

    // MARK: - Idle sessions

    /// Puts a session away soon, if it is idle then. Of thousands that become idle at once a few at a time, so that the loop
    /// is not held up.
    func putAwaySoon(_ session: HTTP2Session) {
        idle.append(session)
        schedule()
    }

    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        eventLoop.scheduleTask(in: Self.pause) { [self] in
            isScheduled = false
            for _ in 0..<min(Self.rowMax, idle.count) { idle.removeLast().putAway() }
            if idle.isEmpty { idle = [] } else { schedule() }
        }
    }
}
