import NIOCore
import TestSupport
import Testing

@testable import HTTP

/// Bytes of a connection in another order are another message.
@Suite struct HTTP2OutputTests {
    @Test(arguments: 0..<200)
    func whatGoesInComesOutInOrder(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var output = HTTP2Output()
        for _ in 0..<3 {
            var expected: [UInt8] = []
            for _ in 0..<random.below(30) {
                let sizes = [0, 1, 9, 100, 4095, 4096, 4097, 20_000]
                let bytes = random.bytes(sizes[random.below(sizes.count)])
                expected += bytes
                if random.below(2) == 0 {
                    bytes.withUnsafeBytes { output.append($0) }
                } else {
                    output.append(ByteBuffer(bytes: bytes))
                }
            }
            #expect(output.isEmpty == expected.isEmpty)
            var found: [UInt8] = []
            output.drain { buffer in
                #expect(buffer.readableBytes > 0)
                found += buffer.readableBytesView
            }
            #expect(found == expected)
            #expect(output.isEmpty)
        }
    }

    /// What was given out stays as it was while the next bytes are gathered.
    @Test func whatWasDrainedDoesNotChange() {
        var output = HTTP2Output()
        var first: [ByteBuffer] = []
        output.append(ByteBuffer(bytes: pattern(100)))
        output.drain { first.append($0) }
        output.append(ByteBuffer(bytes: pattern(100, seed: 2)))
        output.drain { _ in }
        #expect(first.map { Array($0.readableBytesView) } == [pattern(100)])
    }
}

/// A field that is found under another's name sends a request to the wrong place.
@Suite struct HeaderBlockTests {
    private func append(_ name: String, _ value: String, to block: HeaderBlock) {
        unsafe Array(name.utf8).withUnsafeBytes { name in
            unsafe Array(value.utf8).withUnsafeBytes { value in
                unsafe block.append(loweredName: name, value: value)
            }
        }
    }

    @Test func fieldsAreFoundByTheirWholeName() {
        let block = HeaderBlock()
        append("Content-Type", "application/grpc+proto", to: block)
        append("content-typ", "x", to: block)
        append("empty", "", to: block)
        append("twice", "first", to: block)
        append("twice", "second", to: block)
        #expect(block["content-type"] == "application/grpc+proto")
        #expect(block["content"] == nil)
        #expect(block["empty"] == "")
        #expect(block["twice"] == "first")
        #expect(block.field("content-type", is: "application/grpc") == false)
        #expect(block.field("content-type", hasPrefix: "application/grpc") == true)
        #expect(block.field("content-typ", hasPrefix: "xy") == false)
        #expect(block.field("missing", is: "") == nil)
        #expect(block.field("empty", is: "") == true)
        #expect(block.field("twice", equals: Array("first".utf8)))
        #expect(!block.field("twice", equals: Array("firs".utf8)))
        #expect(block.count == 5)
        block.removeAll()
        #expect(block.count == 0 && block.byteCount == 0 && block["twice"] == nil)
    }

    @Test func theRoomGrows() {
        let block = HeaderBlock()
        for index in 0..<500 {
            append("name-\(index)", String(repeating: "v", count: index), to: block)
        }
        #expect(block.all.enumerated().allSatisfy { $1.name == "name-\($0)" && $1.value.utf8.count == $0 })
        #expect(block.all.count == 500)
    }
}
