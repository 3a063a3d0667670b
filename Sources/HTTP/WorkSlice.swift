internal import NIOCore

/// How many of a connection's bytes are worked on without looking at the clock.
struct WorkSlice {
    /// At most, at least, and at first.
    private static let (bytesMax, bytesMin, bytesFirst) = (64 << 10, 256, 2 << 10)
    /// Of a connection that has earned nothing, whose bytes may cost much more than those before: 64 KiB of heads, which had been refused
    /// until there was memory again, took 48 ms.
    private static let unprovenBytesMax = 2 << 10
    /// What is worked on at most when a few bytes ask for much: two requests of a page.
    private static let pageBytesMax = 64
    /// One that takes longer is followed by a shorter one.
    static let time = TimeAmount.milliseconds(Int64(WorkBudget.slowness))

    private let most: Int
    private var fitted: Int
    /// How many bytes the last one had.
    var worked = 0

    /// - Parameter ofPages: of a connection to one of the gateway's own pages.
    init(ofPages: Bool) {
        most = ofPages ? Self.pageBytesMax : Self.bytesMax
        fitted = min(Self.bytesFirst, most)
    }

    /// Of the next one.
    func bytes(isProven: Bool) -> Int { isProven ? fitted : min(fitted, Self.unprovenBytesMax) }

    /// Makes the next one such that it takes about `time` at most: bytes may cost much or little. A short one that took little says
    /// nothing of longer ones.
    mutating func fit(_ time: TimeAmount, mayGrow: Bool = true) {
        if time > Self.time {
            let bytes = Int64(min(worked, fitted)) * Self.time.nanoseconds / time.nanoseconds
            // What it completed may have taken that: a quarter at least.
            fitted = min(max(Int(bytes), fitted / 4, Self.bytesMin), most)
        } else if mayGrow, fitted < most, worked > fitted / 2, time * 2 < Self.time {
            fitted = min(fitted * 2, most)
        }
    }
}
