import Pipeline
import Testing

@testable import ServiceGraphConnector

@Suite struct EdgeStoreTests {
    private func half(_ service: String, isClient: Bool, _ names: inout NameTable) -> EdgeHalf {
        EdgeHalf(
            isClient: isClient, service: names.acquire(Array(service.utf8)), seconds: 1, isFailed: false,
            isMessaging: false,
            isRoot: false)
    }

    private func key(_ number: Int) -> HashKey { HashKey(low: UInt64(number), high: 1) }

    /// Scenario: three edges wait while very many others come and are whole at once, before anything expires. Guarantees: what
    /// the store keeps does not grow with those, and the three still expire, oldest first: busy services take no memory.
    @Test func ticketsAreBounded() {
        let ledger = MemoryLedger()
        var store = EdgeStore(most: 10, ledger: ledger)
        var names = NameTable(ledger: ledger)
        func add(_ number: Int) -> Bool {
            var edge = Edge()
            edge.add(half("client-\(number)", isClient: true, &names), &names)
            return store.insert(key(number), edge, due: UInt64(number))
        }
        for number in 1...3 { #expect(add(number)) }
        func text(_ id: NameTable.ID?) -> String? { id.map { String(decoding: names[$0], as: UTF8.self) } }
        var most = 0
        for number in 4...20_000 {
            #expect(add(number))
            guard let index = store.find(key(number)) else {
                Issue.record("\(number) is not there")
                return
            }
            let isWhole = store.add(half("server", isClient: false, &names), to: index, &names)
            #expect(isWhole)
            let edge = store.remove(index)
            #expect(text(edge.client) == "client-\(number)" && text(edge.server) == "server")
            edge.release(&names)
            most = max(most, store.tickets)
        }
        #expect(most < 1100 && store.count == 3)
        let early = store.popExpired(0)?.client
        #expect(early == nil)
        let expired = (1...3).compactMap { _ in store.popExpired(30_000) }
        #expect(expired.map { text($0.client) } == ["client-1", "client-2", "client-3"])
        for edge in expired { edge.release(&names) }
        let late = store.popExpired(30_000)?.client
        #expect(late == nil && store.tickets == 0)
        store.settle()
        #expect(ledger.bytes == 0 && names.count == 0)
    }

    /// Scenario: names come and go, one of them named twice. Guarantees: a name stays as long as somebody names it and is
    /// another one's never: no edge is counted for services that it does not join.
    @Test func namesStayWhileTheyAreNamed() {
        let ledger = MemoryLedger()
        var names = NameTable(ledger: ledger)
        func text(_ id: NameTable.ID) -> String { String(decoding: names[id], as: UTF8.self) }
        #expect(names.acquire([] as [UInt8]) == 0 && text(0).isEmpty)
        let a = names.acquire(Array("a".utf8))
        #expect(names.acquire(Array("a".utf8)) == a)
        names.release(a)
        let b = names.acquire(Array("b".utf8))
        #expect(a != b && text(a) == "a" && text(b) == "b" && names.count == 2)
        names.release(a)
        let c = names.acquire(Array("c".utf8))
        #expect(text(b) == "b" && text(c) == "c" && names.count == 2)
        for id in [b, c, 0] { names.release(id) }
        #expect(names.count == 0 && ledger.bytes == 0)
    }
}
