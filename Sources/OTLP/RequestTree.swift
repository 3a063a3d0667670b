/// Items that are held until they are sent, in the messages around them: requests are made of them part by part. Not thread-safe.
package struct RequestTree: Sendable {
    private struct Node: Sendable {
        var content: [UInt8]
        var mark: UInt64
        /// Of its field in the message around it.
        let number: UInt32
        let isItem: Bool
        /// Places of the messages in it that are left, in the order in which they came; -1: there is none.
        var first: Int32 = -1
        var last: Int32 = -1
        /// The next one in the same message.
        var next: Int32 = -1
    }

    /// A request has no more items, and no more bytes but for its last item and what is around that.
    package static let (requestItems, requestBytes) = (1000, 1 << 20)
    /// The request around all.
    package static let root: Int32 = 0
    /// With its share of the index, and what memory management adds to a content.
    private static let nodeBytes = MemoryLayout<Node?>.stride + 44 + 48

    /// Nil once it was taken out.
    private var nodes = BlockArray<Node?>()
    private var index = HashIndex()
    /// Items that are held.
    package private(set) var count = 0
    /// What is held takes, items with the requests that are made of them: freed memory is not always used again by the thread that makes
    /// them. Of 150 MB of points, 190 MiB resident became 350 while they were sent.
    package private(set) var bytes = 0

    package init() { nodes.append(Node(content: [], mark: 0, number: 0, isItem: false)) }

    /// The message or item of a key.
    package func find(_ key: WireHash) -> Int32? {
        let place = index.find(key.low, key.high)
        return place < 0 ? nil : place
    }

    /// The message of a key, which is added where it is not there.
    /// - Parameters:
    ///   - number: its field in the message around it.
    ///   - content: what it has beside the messages that will be added to it.
    package mutating func message(
        _ key: WireHash, _ number: UInt32, in parent: Int32, _ content: @autoclosure () -> [UInt8]
    ) -> Int32 {
        find(key) ?? add(key, Node(content: content(), mark: 0, number: number, isItem: false), in: parent)
    }

    /// Adds an item whose key is new.
    /// - Parameter mark: what its owner wants to know of it.
    package mutating func addItem(
        _ key: WireHash, _ number: UInt32, in parent: Int32, _ content: [UInt8], mark: UInt64
    ) {
        count += 1
        _ = add(key, Node(content: content, mark: mark, number: number, isItem: true), in: parent)
    }

    private mutating func add(_ key: WireHash, _ node: Node, in parent: Int32) -> Int32 {
        let place = Int32(nodes.count)
        bytes += Self.bytes(of: node)
        nodes.append(node)
        index.set(key.low, key.high, to: place)
        if let last = nodes[Int(parent)]?.last, last >= 0 {
            nodes[Int(last)]?.next = place
        } else {
            nodes[Int(parent)]?.first = place
        }
        nodes[Int(parent)]?.last = place
        return place
    }

    private static func bytes(of node: Node) -> Int {
        nodeBytes + (node.isItem ? 2 : 1) * node.content.count
    }

    /// What the owner of an item wanted to know.
    package func mark(of item: Int32) -> UInt64 { nodes[Int(item)]?.mark ?? 0 }

    /// Puts another item in the place of one.
    package mutating func replace(_ item: Int32, _ content: [UInt8], mark: UInt64) {
        bytes += 2 * (content.count - (nodes[Int(item)]?.content.count ?? 0))
        nodes[Int(item)]?.content = content
        nodes[Int(item)]?.mark = mark
    }

    // MARK: - Taking out

    /// A request that is being made.
    private struct Part {
        var (items, bytes) = (0, 0)
        var hasRoom: Bool { items < requestItems && bytes < requestBytes }
    }

    /// Takes items out, as a request. Nothing is added after that.
    /// - Parameter written: what is sent of an item.
    /// - Returns: nil when all were taken out.
    package mutating func takeRequest(
        _ written: (_ content: [UInt8], _ mark: UInt64) -> [UInt8]
    ) -> (bytes: [UInt8], items: Int)? {
        guard count > 0 else { return nil }
        index = HashIndex()
        var part = Part()
        let request = take(Self.root, for: &part, written).content
        count -= part.items
        return (request, part.items)
    }

    /// Takes out what a request has room for of a message: at least one item.
    private mutating func take(
        _ place: Int32, for part: inout Part, _ written: ([UInt8], UInt64) -> [UInt8]
    ) -> (content: [UInt8], isWhole: Bool) {
        guard let node = nodes[Int(place)] else { preconditionFailure("\(place) was taken out before") }
        var draft = MessageDraft(node.content)
        var child = node.first
        if node.isItem {
            part.items += 1
            draft = MessageDraft(written(node.content, node.mark))
        }
        while child >= 0, part.hasRoom, let inner = nodes[Int(child)] {
            let (content, isWhole) = take(child, for: &part, written)
            draft.append(inner.number, content)
            guard isWhole else { break }
            child = inner.next
        }
        nodes[Int(place)]?.first = child
        guard child < 0 else { return (draft.bytes, false) }
        // Counted at its end: there is room for something in it, however large it is.
        part.bytes += node.content.count
        if place != Self.root {
            bytes -= Self.bytes(of: node)
            nodes[Int(place)] = nil
        }
        return (draft.bytes, true)
    }
}
