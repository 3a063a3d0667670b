import NIOCore
import NIOEmbedded
import NIOPosix
import Pipeline
import Synchronization
import TestSupport
import Testing

@Suite("SharedMailbox")
struct SharedMailboxTests {
    /// Otherwise a request would wait for another thread, or be counted in another order than it came.
    @Test("what is posted is received at once and in order, also what comes while something is received")
    func order() {
        let loop = EmbeddedEventLoop()
        let received = Noted<[Int]>([])
        let more = Noted<@Sendable () -> Void>({})
        let mailbox = SharedMailbox<Int>(capacity: 1024, eventLoop: loop) { number in
            received.change { $0.append(number) }
            if number == 3 { more.value() }
        }
        more.value = { for number in 4..<8 { #expect(mailbox.post(number)) } }
        for number in 1...3 { #expect(mailbox.post(number)) }
        #expect(received.value == Array(1..<8))
    }

    /// Otherwise a thread that brings one request would count those of all others for ever.
    @Test("after some elements the event loop goes on; what must be alone waits until it is done")
    func turns() {
        let loop = EmbeddedEventLoop()
        let received = Noted(0)
        let seen = Noted<[Int]>([])
        let more = Noted<@Sendable () -> Void>({})
        let mailbox = SharedMailbox<Int>(capacity: 1024, eventLoop: loop) { number in
            received.change { $0 += 1 }
            if number == 0 { more.value() }
        }
        more.value = { for number in 1..<300 { #expect(mailbox.post(number)) } }
        #expect(mailbox.post(0))
        #expect(received.value == 64)
        mailbox.alone { seen.change { $0.append(received.value) } }
        #expect(seen.value == [])
        loop.run()
        #expect(received.value == 300 && seen.value == [300])
        mailbox.alone { seen.change { $0.append(received.value) } }
        #expect(seen.value == [300, 300] && mailbox.post(1) && received.value == 301)
    }

    /// Otherwise what a client believes to be counted would be lost, or two threads would change counts at once.
    @Test(
        "threads post at once: each element is received once, never two at a time, nor beside what is alone")
    func threads() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        let loop = group.next()
        // Not atomic: a lost update shows two at work.
        let work = Noted(0)
        nonisolated(unsafe) var sum = 0
        nonisolated(unsafe) var alone = 0
        let inside = Atomic<Int>(0)
        let overlaps = Atomic<Int>(0)
        let mailbox = SharedMailbox<Int>(capacity: 1 << 16, eventLoop: loop) { number in
            if inside.wrappingAdd(1, ordering: .relaxed).oldValue != 0 {
                overlaps.wrappingAdd(1, ordering: .relaxed)
            }
            sum += number
            inside.wrappingSubtract(1, ordering: .relaxed)
        }
        let each = 20_000
        await withTaskGroup(of: Void.self) { tasks in
            for _ in 0..<3 {
                let poster = group.next()
                tasks.addTask {
                    try? await poster.submit {
                        for _ in 0..<each where !mailbox.post(1) { work.change { $0 += 1 } }
                    }.get()
                }
            }
            for _ in 0..<200 {
                try? await loop.submit {
                    mailbox.alone {
                        if inside.load(ordering: .relaxed) != 0 {
                            overlaps.wrappingAdd(1, ordering: .relaxed)
                        }
                        alone += 1
                    }
                }.get()
            }
        }
        // Behind all that waits.
        let total = try await loop.flatSubmit {
            let promise = loop.makePromise(of: (Int, Int).self)
            mailbox.alone { promise.succeed((sum, alone)) }
            return promise.futureResult
        }.get()
        #expect(total.0 == 3 * each - work.value && total.1 == 200)
        #expect(overlaps.load(ordering: .relaxed) == 0)
        try await group.shutdownGracefully()
    }
}
