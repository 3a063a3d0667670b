import Configuration
import FileStorage
import Glibc
import Logging
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@Suite("SegmentStore", .serialized)
struct SegmentStoreTests {
    @Test(
        "what was stored is there after a restart, byte for byte and in order; what was delivered is not",
        arguments: [false, true])
    func restart(fsync: Bool) async throws {
        let folder = Folder()
        let first = try await StoreRig(folder, fsync: fsync)
        #expect(try await first.open().isEmpty)
        var stored: [StoredBatch] = []
        for seed in 0..<200 as Range<UInt64> {
            stored.append(try await first.append(spans: 20, seed: seed))
        }
        for index in stride(from: 0, to: 200, by: 3) { try await first.remove(stored[index]) }
        try await first.close()
        let second = try await StoreRig(folder, fsync: fsync)
        let found = try await second.open()
        #expect(found == stored.enumerated().filter { $0.offset % 3 != 0 }.map(\.element))
        for each in found {
            let seed = UInt64(stored.firstIndex(of: each)!)
            #expect(try await second.bytes(each) == request(seed))
        }
        #expect(second.lines.value.isEmpty)
        let new = try await second.append(spans: 1, seed: 7)
        #expect(new.id > stored[199].id)
        try await second.close()
    }

    @Test(
        "another user's link in the folder is not followed: that user would have the gateway write where it may not",
        .enabled(if: geteuid() == 0, "only root can make another user's link"))
    func links() async throws {
        let folder = Folder()
        let first = try await StoreRig(folder)
        _ = try await first.open()
        try await first.close()
        let lock = folder.inside + "/lock"
        #expect(unlink(lock) == 0 && symlink("/tmp", lock) == 0 && lchown(lock, 65_534, 65_534) == 0)
        let second = try await StoreRig(folder)
        do {
            _ = try await second.open()
            Issue.record("the store was opened")
        } catch {
            #expect("\(error)".contains("symbolic link of another user"), "\(error)")
        }
        try? await second.close()
    }

    @Test("who a client was and the gzip members that it sent survive, too")
    func whole() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder)
        _ = try await rig.open()
        let metadata = ClientMetadata([.init("x-scope-orgid", "one"), .init("x-scope-orgid", "")])
        let stored = try await rig.append(request(1), items: 20, metadata: metadata).get()
        let batch = try #require(try await rig.read(stored[0]))
        #expect(batch.items == 20 && batch.signal == .traces)
        #expect(batch.slices[0].payload.metadata == metadata && batch.slices[0].gzipMembers == nil)
        try await rig.close()
    }

    @Test("two gateways cannot use one store: the second says so instead of sending everything twice")
    func locked() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder)
        _ = try await rig.open()
        let second = try await StoreRig(folder)
        await #expect { try await second.open() } throws: { "\($0)".contains("another gateway") }
        try await rig.close()
    }

    @Test("a busy queue's space is used again: it does not grow beyond what waits")
    func reuse() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, maxMib: 4, segmentBytes: 1 << 18)
        _ = try await rig.open()
        for seed in 0..<1000 as Range<UInt64> {
            let stored = try await rig.append(spans: 100, seed: seed)
            try await rig.remove(stored)
        }
        #expect(folder.bytes <= 1 << 20 && rig.lines.value.isEmpty)
        try await rig.close()
        let again = try await StoreRig(folder, maxMib: 4)
        #expect(try await again.open().count <= 1)
        try await again.close()
    }

    @Test(
        "a full store refuses with an answer to try again, keeps what it has, and takes data when there is room"
    )
    func full() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, maxMib: 1, segmentBytes: 1 << 18)
        _ = try await rig.open()
        var stored: [StoredBatch] = []
        var refusal: Refusal?
        while refusal == nil, stored.count < 100 {
            switch try await rig.append(request(1, spans: 100), items: 100) {
            case .success(let parts): stored += parts
            case .failure(let said): refusal = said
            }
        }
        #expect(refusal?.isPermanent == false && refusal?.message.contains("max_size_mib 1") == true)
        #expect(stored.count > 10 && folder.bytes <= 1 << 20)
        for each in stored { #expect(try await rig.bytes(each) == request(1, spans: 100)) }
        for each in stored { try await rig.remove(each) }
        _ = try await rig.append(spans: 100, seed: 2)
        try await rig.close()
    }

    /// If it failed, what the destination had before the disk would be sent once more after a restart, or cost the disk's
    /// room for nothing.
    @Test("what is removed before it is written is not written, and while it is written noted as done")
    func removedBefore() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder)
        _ = try await rig.open()
        let waste = [UInt8](repeating: 0xAB, count: 10_000)
        let kept = try await rig.appendInVain([waste, waste, waste], keeping: request(1))
        func written() -> Int { folder.content(folder.names(".segment")[0]).count { $0 == 0xAB } }
        #expect(written() < waste.count)
        #expect(try await rig.bytes(kept) == request(1))
        try await rig.removeWhileWritten(waste)
        try await rig.close()
        #expect(written() >= waste.count)
        let again = try await StoreRig(folder)
        #expect(try await again.open() == [kept])
        try await again.close()
    }

    @Test("requests larger than a segment are stored")
    func large() async throws {
        let folder = Folder()
        let rig = try await StoreRig(folder, segmentBytes: 1 << 14)
        _ = try await rig.open()
        let stored = try await rig.append(spans: 500, seed: 3)
        #expect(try await rig.bytes(stored) == request(3, spans: 500))
        try await rig.close()
        let again = try await StoreRig(folder, segmentBytes: 1 << 14)
        #expect(try await again.open() == [stored])
        try await again.close()
    }
}

@Suite("SegmentStore, damaged", .serialized)
struct DamagedStoreTests {
    /// A closed store of twenty requests.
    private func filled(_ folder: Folder) async throws -> [StoredBatch] {
        let rig = try await StoreRig(folder)
        _ = try await rig.open()
        var stored: [StoredBatch] = []
        for seed in 0..<20 as Range<UInt64> { stored.append(try await rig.append(spans: 20, seed: seed)) }
        try await rig.close()
        return stored
    }

    @Test(
        "flipped bits cost the requests that they are in; the others are kept, loudly",
        arguments: 0..<12 as Range<UInt64>)
    func flipped(seed: UInt64) async throws {
        let folder = Folder()
        let stored = try await filled(folder)
        var random = SeededRandom(seed: seed)
        let flips = random.below(3) + 1
        folder.change(folder.names(".segment")[0]) { descriptor in
            for _ in 0..<flips {
                let offset = off_t(random.below(stored.count * stored[0].bytes))
                var byte: UInt8 = 0
                pread(descriptor, &byte, 1, offset)
                byte ^= 1 << UInt8(random.below(8))
                pwrite(descriptor, &byte, 1, offset)
            }
        }
        let rig = try await StoreRig(folder)
        let found = try await rig.open()
        #expect(found.count >= 20 - flips - 1 && found.count <= 20, "seed \(seed)")
        for each in found {
            let index = UInt64(stored.firstIndex(of: each)!)
            #expect(try await rig.bytes(each) == request(index), "seed \(seed)")
        }
        if found.count < 20 { #expect(!rig.lines.value.isEmpty, "seed \(seed)") }
        try await rig.close()
        // The damaged file is not read again.
        let again = try await StoreRig(folder)
        #expect(try await again.open() == found && again.lines.value.isEmpty, "seed \(seed)")
        try await again.close()
    }

    @Test(
        "a truncated file costs what was cut off; the gateway says so",
        arguments: [0, 10, 100, 30_000, 100_000])
    func truncated(bytes: Int) async throws {
        let folder = Folder()
        let stored = try await filled(folder)
        folder.change(folder.names(".segment")[0]) { ftruncate($0, off_t(bytes)) }
        let rig = try await StoreRig(folder)
        let found = try await rig.open()
        #expect(found == Array(stored.prefix(found.count)))
        #expect(found.count >= max(0, bytes / (stored[0].bytes + 64) - 1) && found.count < 20)
        #expect(bytes < 24 || rig.lines.value.contains { $0.contains("damaged") })
        for (index, each) in found.enumerated() {
            #expect(try await rig.bytes(each) == request(UInt64(index)))
        }
        _ = try await rig.append(spans: 1, seed: 1)
        try await rig.close()
    }

    @Test("whatever bytes are in the files, the store opens and gives back only what was stored")
    func garbage() async throws {
        let seconds = getenv("SLUICE_FUZZ_SECONDS").flatMap { Int64(String(cString: $0)) } ?? 1
        let end = NIODeadline.now() + .seconds(seconds)
        var seed: UInt64 = 0
        while NIODeadline.now() < end {
            seed += 1
            let folder = Folder()
            let stored = try await filled(folder)
            var random = SeededRandom(seed: seed)
            folder.change(folder.names(".segment")[0]) { descriptor in
                for _ in 0..<(random.below(4) + 1) {
                    let offset = random.below(random.below(4) == 0 ? 200 : 1 << 18)
                    let junk = (0..<(random.below(2000) + 1)).map { _ in UInt8(random.below(256)) }
                    pwrite(descriptor, junk, junk.count, off_t(offset))
                }
                if random.below(5) == 0 { ftruncate(descriptor, off_t(random.below(1 << 18))) }
            }
            let rig = try await StoreRig(folder)
            for each in try await rig.open() {
                let index = stored.firstIndex(of: each)
                #expect(index != nil, "seed \(seed)")
                #expect(try await rig.bytes(each) == request(UInt64(index ?? 0)), "seed \(seed)")
            }
            try await rig.close()
        }
    }
}
