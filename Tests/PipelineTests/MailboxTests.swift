import Glibc
import NIOCore
import NIOEmbedded
import NIOPosix
import Pipeline
import Synchronization
import TestSupport
import Testing

private final class Arrivals: Sendable {
    let count = Atomic<Int>(0)
    let pause = Atomic<Int>(0)

    /// Spins until so many have arrived; false when that takes a minute, which is for ever.
    func wait(for number: Int) -> Bool {
        let end = NIODeadline.now() + .seconds(60)
        var spins = 0
        while count.load(ordering: .acquiring) < number {
            spins += 1
            guard spins > 2000 else { continue }
            if NIODeadline.now() > end { return false }
            sched_yield()
        }
        return true
    }
}

@Suite("Mailbox")
struct MailboxTests {
    @Test("what is posted arrives in order, also when more comes than one turn of the loop takes")
    func order() {
        let loop = EmbeddedEventLoop()
        let received = Noted<[Int]>([])
        let mailbox = Mailbox<Int>(capacity: 1024, eventLoop: loop) { number in
            received.change { $0.append(number) }
        }
        for round in 0..<3 {
            for number in 0..<1000 { #expect(mailbox.post(round * 1000 + number)) }
            loop.advanceTime(by: .milliseconds(10))
        }
        #expect(received.value == Array(0..<3000))
    }

    /// Otherwise a request's bytes would be fetched a second time from where other requests have driven them.
    @Test(
        "with receivesAtOnce what is posted on the loop has arrived when post returns, in order, other threads' before it"
    )
    func atOnce() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let received = Noted<[Int]>([])
        let nested = Noted<@Sendable () -> Void>({})
        let mailbox = Mailbox<Int>(capacity: 1024, eventLoop: loop, receivesAtOnce: true) { number in
            loop.preconditionInEventLoop()
            received.change { $0.append(number) }
            if number == 3 { nested.value() }
        }
        // What comes while something is received waits for its turn.
        nested.value = {
            #expect(mailbox.post(4) && received.value == [0, 1, 2, 3])
        }
        try await loop.submit {
            for number in 0..<3 { #expect(mailbox.post(number) && received.value.last == number) }
            #expect(mailbox.post(3) && received.value == Array(0..<5))
        }.get()
        #expect(mailbox.post(5))
        try await loop.submit {
            #expect(mailbox.post(6) && mailbox.post(7))
        }.get()
        try await loop.submit {}.get()
        #expect(received.value == Array(0..<8))
    }

    @Test(
        "other work of a loop gets its turn while a flood of requests is taken, the sooner the more work they are",
        arguments: [(1, 512), (256, 128)])
    func turns(cost: Int, most: Int) {
        let loop = EmbeddedEventLoop()
        let seen = Noted(0)
        let received = Noted(0)
        func receive(_: Int) {
            received.change { $0 += 1 }
            let end = NIODeadline.now() + .microseconds(10)
            while NIODeadline.now() < end {}
        }
        let mailbox = Mailbox<Int>(
            capacity: 4096, eventLoop: loop, cost: { _ in cost }, receive: receive)
        for number in 0..<4096 { _ = mailbox.post(number) }
        loop.execute { seen.value = received.value }
        loop.advanceTime(by: .milliseconds(100))
        #expect(received.value == 4096 && seen.value > 0 && seen.value <= most)
    }

    /// A component that has a mailbox.
    private final class Owner: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): on the test's thread only.
        var mailbox: Mailbox<Int>!
        let received: Noted<[Int]>

        init(on loop: EmbeddedEventLoop, _ received: Noted<[Int]>) {
            self.received = received
            mailbox = Mailbox(
                capacity: 1024, owner: self, eventLoop: loop,
                patience: { [unowned self] in self.received.value.count },
                receive: { [unowned self] number in
                    self.received.change { $0.append(number) }
                    let end = NIODeadline.now() + .microseconds(10)
                    while NIODeadline.now() < end {}
                })
        }
    }

    /// Otherwise the gateway crashes when it stops under load.
    @Test("a component lives until the loop has looked into its mailbox, also when that takes several turns")
    func owner() {
        let loop = EmbeddedEventLoop()
        let received = Noted<[Int]>([])
        var owner: Owner? = Owner(on: loop, received)
        weak let stillThere = owner
        for number in 0..<1000 { _ = owner?.mailbox.post(number) }
        owner = nil
        #expect(stillThere != nil)
        loop.run()
        #expect(stillThere != nil && received.value.count < 1000)
        loop.advanceTime(by: .milliseconds(100))
        #expect(stillThere == nil && received.value == Array(0..<1000))
    }

    @Test("a full mailbox refuses and changes nothing; there is room again once it was emptied")
    func full() {
        let loop = EmbeddedEventLoop()
        let received = Noted<[Int]>([])
        let mailbox = Mailbox<Int>(capacity: 4, eventLoop: loop) { number in
            received.change { $0.append(number) }
        }
        #expect((0..<6).map { mailbox.post($0) } == [true, true, true, true, false, false])
        loop.run()
        #expect(mailbox.post(6))
        loop.run()
        #expect(received.value == [0, 1, 2, 3, 6])
    }

    @Test("stopping finds what waits, and the mailbox goes on working after it")
    func drainNow() {
        let loop = EmbeddedEventLoop()
        let received = Noted<[Int]>([])
        let mailbox = Mailbox<Int>(capacity: 8, eventLoop: loop) { number in
            received.change { $0.append(number) }
        }
        _ = mailbox.post(1)
        _ = mailbox.post(2)
        mailbox.drainNow()
        #expect(received.value == [1, 2])
        _ = mailbox.post(3)
        loop.run()
        _ = mailbox.post(4)
        loop.run()
        #expect(received.value == [1, 2, 3, 4])
    }

    /// A loop that is woken for each request does little else at a moderate load.
    @Test("a loop that looks by itself is woken only for what it has no patience for")
    func patience() {
        let loop = EmbeddedEventLoop()
        let received = Noted<[Int]>([])
        let patience = Noted(0)
        let mailbox = Mailbox<Int>(
            capacity: 64, eventLoop: loop, patience: { patience.value },
            receive: { number in received.change { $0.append(number) } })
        patience.value = 10
        #expect(mailbox.post(0))
        loop.run()
        #expect(received.value == [0])
        // Ten may wait, the eleventh wakes.
        #expect(mailbox.post(1, weight: 7) && mailbox.post(2, weight: 3))
        loop.run()
        #expect(received.value == [0])
        #expect(mailbox.post(3) && mailbox.post(4))
        loop.run()
        #expect(received.value == Array(0..<5))
        #expect(mailbox.post(5, weight: 10))
        loop.run()
        #expect(received.value == Array(0..<5))
        // Once the consumer has nothing to look for, the next wakes it.
        patience.value = 0
        mailbox.takeAll()
        #expect(received.value == Array(0..<6))
        #expect(mailbox.post(6))
        loop.run()
        #expect(received.value == Array(0..<7))
    }

    /// Otherwise a full batch would lie there until its time is over.
    @Test("what lies behind a request that is not quite posted is not forgotten when the loop looks")
    func claims() {
        let loop = EmbeddedEventLoop()
        let received = Noted<[Int]>([])
        let mailbox = Mailbox<Int>(
            capacity: 64, eventLoop: loop, patience: { 49 },
            receive: { number in received.change { $0.append(number) } })
        mailbox.takeAll()
        let isPosted = mailbox.post(
            1, weight: 30,
            claimed: {
                #expect(mailbox.post(2, weight: 30))
                mailbox.takeAll()
            })
        #expect(isPosted && received.value.isEmpty)
        loop.run()
        #expect(received.value == [1, 2])
    }

    // A request that nobody wakes the loop for waits until the next one comes, perhaps for ever. Each producer waits
    // for its own element before it posts the next, a little later each time, so as to meet the loop at every step of
    // its falling asleep.
    @Test("no request is left lying in a sleeping loop's mailbox", arguments: [1, 2, 3])
    func wakes(producers: Int) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let arrived = (0..<producers).map { _ in Arrivals() }
        let lost = Noted(0)
        let mailbox = Mailbox<Int>(capacity: 16, eventLoop: group.next()) { producer in
            arrived[producer].count.wrappingAdd(1, ordering: .releasing)
        }
        try await inParallel(
            (0..<producers).map { producer -> @Sendable () -> Void in
                {
                    var random = SeededRandom(seed: UInt64(producer))
                    for number in 1...4000 {
                        for _ in 0..<random.below(60) {
                            arrived[producer].pause.wrappingAdd(1, ordering: .relaxed)
                        }
                        while !mailbox.post(producer) { sched_yield() }
                        guard arrived[producer].wait(for: number) else { return lost.change { $0 += 1 } }
                    }
                }
            })
        #expect(lost.value == 0)
        try await group.shutdownGracefully()
    }

    @Test("a flood from several loops arrives whole and in each one's order", .timeLimit(.minutes(10)))
    func flood() async throws {
        let producers = 3
        let each = 50_000
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let next = Noted(Array(repeating: 0, count: producers))
        let missing = Noted(producers * each)
        let mistakes = Noted(0)
        let mailbox = Mailbox<(Int, Int)>(capacity: 64, eventLoop: group.next()) { producer, number in
            next.change {
                if $0[producer] != number { mistakes.change { $0 += 1 } }
                $0[producer] = number + 1
            }
            missing.change { $0 -= 1 }
        }
        try await inParallel(
            (0..<producers).map { producer -> @Sendable () -> Void in
                { for number in 0..<each { while !mailbox.post((producer, number)) { sched_yield() } } }
            } + [{ while missing.value > 0 { sched_yield() } }])
        #expect(mistakes.value == 0)
        try await group.shutdownGracefully()
    }
}
