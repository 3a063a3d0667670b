import Pipeline
import Testing

@testable import ServiceGraphConnector

@Suite struct EdgeStoreTests {
    private func half(_ service: String, isClient: Bool) -> EdgeHalf {
        EdgeHalf(
            isClient: isClient, service: Array(service.utf8), seconds: 1, isFailed: false, isMessaging: false,
            isRoot: false)
    }

    private func key(_ number: Int) -> HashKey { HashKey(low: UInt64(number), high: 1) }

    /// Scenario: three edges wait while very many others come and are whole at once, before anything expires. Guarantees: what
    /// the store keeps does not grow with those, and the three still expire, oldest first: busy services take no memory.
    @Test func ticketsAreBounded() {
        let ledger = MemoryLedger()
        var store = EdgeStore(most: 10, ledger: ledger)
        func add(_ number: Int) -> Bool {
            var edge = Edge()
            edge.add(half("client-\(number)", isClient: true))
            return store.insert(key(number), edge, due: UInt64(number))
        }
        for number in 1...3 { #expect(add(number)) }
        var most = 0
        for number in 4...20_000 {
            #expect(add(number))
            guard let index = store.find(key(number)) else {
                Issue.record("\(number) is not there")
                return
            }
            let isWhole = store.add(half("server", isClient: false), to: index)
            #expect(isWhole)
            let edge = store.remove(index)
            #expect(edge.client == Array("client-\(number)".utf8) && edge.server == Array("server".utf8))
            most = max(most, store.tickets)
        }
        #expect(most < 1100 && store.count == 3)
        let early = store.popExpired(0)?.client
        #expect(early == nil)
        let clients = (1...3).map { _ in store.popExpired(30_000)?.client }
        #expect(clients == (1...3).map { Array("client-\($0)".utf8) })
        let late = store.popExpired(30_000)?.client
        #expect(late == nil && store.tickets == 0)
        store.settle()
        #expect(ledger.bytes == 0)
    }
}
