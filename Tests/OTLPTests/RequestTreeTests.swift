import Testing

@testable import OTLP

/// Items that are held until they are sent.
@Suite struct RequestTreeTests {
    /// The payloads of the items in a request: fields 1 of fields 2 of fields 1.
    private func items(_ request: [UInt8]) -> [[UInt8]] {
        request.withUnsafeBytes { buffer in
            var items: [[UInt8]] = []
            for resource in WireBytes(buffer).fields {
                var isEmpty = true
                for scope in resource.bytes.fields where scope.number == 2 {
                    for item in scope.bytes.fields where item.number == 3 {
                        items.append(item.bytes.array)
                        isEmpty = false
                    }
                }
                #expect(!isEmpty, "a resource without an item")
            }
            return items
        }
    }

    /// Guarantees: whatever the sizes, each item leaves exactly once, in requests that are bounded but for their last item and what is
    /// around that, and the bytes come back to nothing.
    @Test(arguments: 0..<40)
    func everything(seed: UInt64) {
        var random = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func next(_ limit: Int) -> Int {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return Int(random % UInt64(limit))
        }
        let sizes = [0, 10, 100, 20_000, 1_200_000]
        func content() -> [UInt8] {
            var writer = WireWriter()
            writer.field(
                1, [UInt8](repeating: 7, count: sizes[next(60) == 0 ? 4 : next(200) == 0 ? 3 : next(3)]))
            return writer.bytes
        }
        var tree = RequestTree()
        var expected: [[UInt8]] = []
        var key: UInt64 = 0
        for _ in 0..<next(4000) + 1 {
            let resource = WireHash(low: 1, high: UInt64(next(5)))
            let scope = WireHash(low: 2 + resource.high, high: UInt64(next(8)))
            let inResource = tree.message(resource, 1, in: RequestTree.root, content())
            let inScope = tree.message(scope, 2, in: inResource, content())
            key += 1
            let item =
                content() + [0x10] + [UInt8(key & 0x7F), UInt8(key >> 7 & 0x7F)].map { $0 | 0x80 } + [0]
            tree.addItem(WireHash(low: 100, high: key), 3, in: inScope, item, mark: key)
            expected.append(item)
        }
        #expect(tree.count == expected.count && tree.bytes > 0)
        var (taken, marks): ([[UInt8]], [UInt64]) = ([], [])
        while true {
            var largest = 0
            let request = tree.takeRequest { content, mark in
                marks.append(mark)
                largest = max(largest, content.count)
                return content
            }
            guard let (bytes, count) = request else { break }
            let here = items(bytes)
            #expect(here.count == count && count > 0 && count <= RequestTree.requestItems)
            #expect(bytes.count < RequestTree.requestBytes + 3 * 1_250_000)
            taken += here
        }
        #expect(taken.count == expected.count && Set(marks).count == marks.count)
        #expect(Set(taken) == Set(expected))
        #expect(tree.count == 0 && tree.bytes == 0)
    }

    /// Guarantees: an item is found by its key, and replaced in its place.
    @Test func replacing() {
        var tree = RequestTree()
        let key = WireHash(low: 1, high: 2)
        #expect(tree.find(key) == nil)
        tree.addItem(key, 1, in: RequestTree.root, [1, 2, 3], mark: 5)
        let bytes = tree.bytes
        guard let item = tree.find(key) else {
            Issue.record("the item is not there")
            return
        }
        #expect(tree.mark(of: item) == 5)
        tree.replace(item, [9], mark: 6)
        #expect(tree.bytes < bytes && tree.count == 1)
        let request = tree.takeRequest { content, mark in content + [UInt8(mark)] }
        #expect(request?.bytes == [0x0A, 2, 9, 6] && request?.items == 1 && tree.bytes == 0)
    }
}
