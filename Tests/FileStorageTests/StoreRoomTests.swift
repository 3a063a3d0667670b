import FileStorage
import Glibc
import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("SegmentStore, room", .serialized)
struct StoreRoomTests {
    private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }

    /// If it failed, a client's larger request would be refused for ever though nothing waits.
    @Test("an empty store takes any request that it has room for, whatever files it keeps for later")
    func emptied() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, maxMib: 1, segmentBytes: 1 << 18)
        _ = try await rig.open()
        var stored: [StoredBatch] = []
        while folder.names(".segment").count < 3 {
            stored.append(try await rig.append(spans: 100, seed: UInt64(stored.count)))
        }
        for each in stored { try await rig.remove(each) }
        try await rig.remove(try await rig.append(spans: 100, seed: 1))
        #expect(folder.names(".spare").count == 2)
        for count in [700_000, 1_000_000, 20_000, 1_000_000] {
            let stored = try await rig.append(bytes(count), items: 1).get()[0]
            #expect(try await rig.bytes(stored)?.count == count && folder.bytes <= 1 << 20)
            try await rig.remove(stored)
        }
        try await rig.close()
    }

    /// If it failed, such a client would send the same request again for ever.
    @Test("a request larger than the whole store is refused for good")
    func neverFits() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, maxMib: 1, segmentBytes: 1 << 18)
        _ = try await rig.open()
        guard case .failure(let refusal) = try await rig.append(bytes(1_100_000), items: 1) else {
            Issue.record("stored more than max_size_mib")
            return
        }
        #expect(refusal.isPermanent && refusal.message.contains("max_size_mib 1"))
        try await rig.close()
    }

    /// If it failed, a gateway that is started again and again while a destination is down would fill its disk, and then
    /// refuse data, with files that hold nearly nothing.
    @Test("restarts take no room")
    func restarts() async throws {
        let folder = Folder()
        var stored: [StoredBatch] = []
        for seed in 0..<12 as Range<UInt64> {
            let rig = try await StoreRig(folder, maxMib: 4)
            #expect(try await rig.open() == stored && rig.lines.value.isEmpty)
            stored.append(try await rig.append(spans: 20, seed: seed))
            try await rig.close()
        }
        #expect(folder.bytes == 1 << 20)
        let rig = try await StoreRig(folder, maxMib: 4)
        #expect(try await rig.open() == stored)
        for (seed, each) in stored.enumerated() {
            #expect(try await rig.bytes(each) == request(UInt64(seed)))
        }
        try await rig.close()
    }

    /// If it failed, what was delivered while the disk was in trouble would be sent again after a restart.
    @Test("what is done while nothing can be written is noted later, and failed files take no room")
    func failedWrite() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, maxMib: 4, segmentBytes: 1 << 16)
        _ = try await rig.open()
        let first = try await rig.append(bytes(30_000), items: 1).get()[0]
        let second = try await rig.append(bytes(30_000), items: 1).get()[0]
        rename(folder.inside, folder.inside + "-away")
        try await rig.remove(first)
        let refused = try await rig.append(bytes(30_000), items: 1)
        guard case .failure(let refusal) = refused else {
            Issue.record("stored nowhere")
            return
        }
        #expect(!refusal.isPermanent)
        rename(folder.inside + "-away", folder.inside)
        let third = try await rig.append(bytes(30_000), items: 1).get()[0]
        try await rig.close()
        let again = try await StoreRig(folder)
        #expect(try await again.open() == [second, third])
        try await again.close()
    }

    /// If it failed, a store that one undelivered request keeps full would send everything that was delivered behind it
    /// once more after a restart.
    @Test("what is done is noted in a full store, too")
    func doneWhenFull() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, maxMib: 1, segmentBytes: 1 << 18)
        _ = try await rig.open()
        var stored: [StoredBatch] = []
        while case .success(let parts) = try await rig.append(bytes(500), items: 1) { stored += parts }
        #expect(stored.count > 1000)
        // One is left in the first segment, one in the second.
        let left = [stored[0], stored[700]]
        for each in stored where !left.contains(each) { try await rig.remove(each) }
        while folder.bytes <= 1 << 20 { try await Task.sleep(for: .milliseconds(1)) }
        // Room for notes is none for data.
        guard case .failure = try await rig.append(bytes(500), items: 1) else {
            Issue.record("stored beyond the limit")
            return
        }
        // The room of the first segment is room for data, all of it.
        try await rig.remove(left[0])
        var kept = [left[1]]
        for _ in 0..<3 { kept += try await rig.append(bytes(500), items: 1).get() }
        try await rig.close()
        #expect(folder.bytes <= 1 << 20 + 1 << 16 && folder.names(".segment").count == 5)
        let again = try await StoreRig(folder, maxMib: 1, segmentBytes: 1 << 18)
        #expect(try await again.open() == kept)
        try await again.close()
    }

    @Test("a store that is not open yet takes nothing, instead of writing over what it has")
    func notOpen() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder)
        guard case .failure(let refusal) = try await rig.append(bytes(10), items: 1) else {
            Issue.record("written before the folder was read")
            return
        }
        #expect(!refusal.isPermanent)
        _ = try await rig.open()
        _ = try await rig.append(bytes(10), items: 1).get()
        try await rig.close()
    }
}

@Suite("SegmentStore, damage at the edges", .serialized)
struct StoreEdgeTests {
    /// Where records begin.
    private func records(_ content: [UInt8]) -> [Int] {
        stride(from: 24, to: content.count - 48, by: 8).filter {
            content[$0..<($0 + 4)].elementsEqual([0x31, 0x4C, 0x51, 0x53])
        }
    }

    private func filled(_ folder: Folder, _ count: UInt64 = 20) async throws -> [StoredBatch] {
        let rig = try await StoreRig(folder)
        _ = try await rig.open()
        var stored: [StoredBatch] = []
        for seed in 0..<count { stored.append(try await rig.append(spans: 20, seed: seed)) }
        try await rig.close()
        return stored
    }

    /// If it failed, a request would be gone and nobody would know.
    @Test("any flipped bit of the last record is told, and costs that request alone", arguments: 0..<8)
    func lastRecord(bit: Int) async throws {
        let folder = Folder()
        let stored = try await filled(folder, 3)
        let name = folder.names(".segment")[0]
        let content = folder.content(name)
        let last = try #require(records(content).last)
        for byte in [0, 3, 4, 5, 6, 7, 8, 15, 16, 24, 28, 32, 36, 40, 44, 47, 48, 200] {
            folder.flip(name, byte: last + byte, bit: bit)
            let rig = try await StoreRig(folder)
            #expect(try await rig.open() == Array(stored.dropLast()), "byte \(byte)")
            #expect(!rig.lines.value.isEmpty, "byte \(byte)")
            try await rig.close()
            folder.flip(name, byte: last + byte, bit: bit)
            let healed = try await StoreRig(folder)
            #expect(try await healed.open() == stored, "byte \(byte)")
            try await healed.close()
        }
    }

    /// If it failed, going back to an earlier version would delete what the later one had stored.
    @Test("a file of another version is told and kept, not written over")
    func otherVersion() async throws {
        let folder = Folder()
        _ = try await filled(folder, 1)
        let foreign = Array("SLCSEG2".utf8) + [0] + [UInt8](repeating: 9, count: 5000)
        folder.put("000000000007.segment", foreign)
        let rig = try await StoreRig(folder)
        #expect(try await rig.open().count == 1)
        #expect(rig.lines.value.contains { $0.contains("damaged") })
        for seed in 0..<200 as Range<UInt64> {
            try await rig.remove(try await rig.append(spans: 100, seed: seed))
        }
        try await rig.close()
        #expect(folder.content("000000000007.segment.damaged") == foreign)
    }

    @Test("a file cut down to less than its first bytes is told", arguments: [0, 1, 23])
    func cutOff(bytes: Int) async throws {
        let folder = Folder()
        _ = try await filled(folder)
        folder.change(folder.names(".segment")[0]) { ftruncate($0, off_t(bytes)) }
        let rig = try await StoreRig(folder)
        #expect(try await rig.open().isEmpty && rig.lines.value.count == 1)
        _ = try await rig.append(spans: 1, seed: 1)
        try await rig.close()
        let again = try await StoreRig(folder)
        #expect(try await again.open().count == 1 && again.lines.value.isEmpty)
        try await again.close()
    }

    /// If it failed, damage to one file would bring back what was delivered long ago.
    @Test("what a damaged file said is done stays done")
    func doneInDamaged() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, segmentBytes: 1 << 16)
        _ = try await rig.open()
        var stored: [StoredBatch] = []
        while folder.names(".segment").count < 2 {
            stored.append(try await rig.append(spans: 20, seed: UInt64(stored.count)))
        }
        try await rig.remove(stored[0])
        for _ in 0..<2 { stored.append(try await rig.append(spans: 20, seed: UInt64(stored.count))) }
        try await rig.close()
        let name = folder.names(".segment")[1]
        folder.flip(name, byte: records(folder.content(name))[0] + 100, bit: 1)
        for _ in 0..<2 {
            let again = try await StoreRig(folder, segmentBytes: 1 << 16)
            #expect(try await !again.open().contains(stored[0]))
            _ = try await again.append(spans: 1, seed: 1)
            try await again.close()
        }
        #expect(folder.names(".damaged").count == 1)
    }

    /// Scenario: 1 is done for and holds nothing that waits, 2 is damaged, 3 follows.
    @Test("files that follow a damaged one keep their place")
    func order() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, segmentBytes: 1 << 16)
        _ = try await rig.open()
        var stored: [StoredBatch] = []
        while folder.names(".segment").count < 4 {
            stored.append(try await rig.append(spans: 20, seed: UInt64(stored.count)))
        }
        try await rig.close()
        let name = folder.names(".segment")[1]
        folder.flip(name, byte: records(folder.content(name))[0] + 100, bit: 1)
        let second = try await StoreRig(folder, segmentBytes: 1 << 16)
        let found = try await second.open()
        #expect(found.count == stored.count - 1)
        // Everything but the very last is done, in the order of the queue.
        for each in found.dropLast() { try await second.remove(each) }
        let new = try await second.append(spans: 20, seed: 99)
        try await second.close()
        let third = try await StoreRig(folder, segmentBytes: 1 << 16)
        #expect(try await third.open() == [found[found.count - 1], new])
        try await third.close()
    }
}
