import CNghttp2
import Glibc
import NIOEmbedded
import TestSupport
import Testing

@testable import HTTP

/// How many pages of these addresses take memory.
func pages(_ range: Range<Int>) -> Int {
    let size = Int(sysconf(Int32(_SC_PAGESIZE)))
    var resident = [UInt8](repeating: 0, count: (range.count + size - 1) / size)
    guard mincore(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, &resident) == 0 else {
        return -1
    }
    return resident.count { $0 & 1 == 1 }
}

/// Without this nghttp2's structures would overwrite each other.
@Suite struct SessionArenaTests {
    private struct Block {
        var address: UnsafeMutableRawPointer
        var count: Int
        var fill: UInt8

        func write() { memset(address, Int32(fill), count) }
        func isWhole(_ upTo: Int? = nil) -> Bool {
            UnsafeRawBufferPointer(start: address, count: min(count, upTo ?? count)).allSatisfy { $0 == fill }
        }
    }

    /// A lot of blocks of all sizes come and go, are exchanged, and put away with what is in them.
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func blocksStayWhatTheyAre(seed: UInt64) throws {
        let loop = EmbeddedEventLoop()
        let slots = SessionSlots.of(loop)
        let memory = try #require(SessionMemory(slots))
        var random = SeededRandom(seed: seed)
        var functions = nghttp2_mem()
        var room: UnsafeMutableRawPointer?
        var blocks: [Block] = []
        _ = memory.make { given in
            functions = given.pointee
            let made = functions.calloc(1, 2900, functions.mem_user_data)!
            blocks.append(Block(address: made, count: 2900, fill: 0))
            room = functions.realloc(nil, 16 << 10, functions.mem_user_data)
            return 0
        }
        #expect(room == slots.room && blocks[0].isWhole())
        var (inside, outside, away) = (0, 0, 0)
        for step in 0..<4000 {
            switch Int.random(in: 0..<(step < 2000 ? 8 : 12), using: &random) {
            case 0..<4:
                let count =
                    Int.random(in: 0..<10, using: &random) == 0
                    ? Int.random(in: 0...5000, using: &random) : Int.random(in: 0...200, using: &random)
                let address = try #require(functions.malloc(count, functions.mem_user_data))
                #expect(Int(bitPattern: address) % 16 == 0)
                let block = Block(
                    address: address, count: count, fill: UInt8.random(in: 0...255, using: &random))
                block.write()
                blocks.append(block)
                if memory.slotRange.contains(Int(bitPattern: address)) { inside += 1 } else { outside += 1 }
            case 4..<5:
                let address = try #require(functions.calloc(3, 40, functions.mem_user_data))
                let block = Block(address: address, count: 120, fill: 0)
                #expect(block.isWhole())
                blocks.append(block)
            case 5..<6 where !blocks.isEmpty:
                let index = Int.random(in: 0..<blocks.count, using: &random)
                let count = Int.random(in: 1...400, using: &random)
                let had = blocks[index].count
                blocks[index].address = try #require(
                    functions.realloc(blocks[index].address, count, functions.mem_user_data))
                blocks[index].count = count
                #expect(blocks[index].isWhole(had))
                blocks[index].write()
            case 7 where step % 3 == 0:
                if memory.putAway() {
                    away += 1
                    #expect(pages(memory.slotRange) == 0)
                    memory.bringBack()
                }
            default:
                guard !blocks.isEmpty else { continue }
                let block = blocks.remove(at: Int.random(in: 0..<blocks.count, using: &random))
                #expect(block.isWhole())
                functions.free(block.address, functions.mem_user_data)
            }
        }
        #expect(inside > 100 && outside > 10 && away > 10, "\(inside) \(outside) \(away)")
        for block in blocks {
            #expect(block.isWhole())
            functions.free(block.address, functions.mem_user_data)
        }
        functions.free(nil, functions.mem_user_data)
        functions.free(room, functions.mem_user_data)
        #expect(memory.putAway() && memory.holdsAll)
        memory.bringBack()
    }
}
