import Foundation
import Testing

@testable import Statements

/// Zones of the system's database. Read wrongly, times of logs would be hours off.
@Suite("time zones")
struct TimeZoneTests {
    /// A file of RFC 8536 with one type before the first moment and one from each on.
    private static func file(_ first: Int32, _ moments: [(Int64, Int32)]) -> [UInt8] {
        func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            withUnsafeBytes(of: number.bigEndian) { Array($0) }
        }
        func head(_ times: Int, _ types: Int) -> [UInt8] {
            Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
                + [0, 0, 0, times, types, 4].flatMap { bytes(UInt32($0)) }
        }
        func type(_ offset: Int32) -> [UInt8] { bytes(offset) + [0, 0] }
        // The old block is passed over, whatever is in it.
        var file = head(1, 1) + bytes(UInt32(5)) + [0] + type(99) + [65, 66, 67, 0]
        file += head(moments.count, moments.count + 1)
        file += moments.flatMap { bytes($0.0) } + (0..<moments.count).map { UInt8($0 + 1) }
        file += type(first) + moments.flatMap { type($0.1) } + [65, 66, 67, 0]
        return file + Array("\nABC0\n".utf8)
    }

    private func zone(_ bytes: [UInt8]) throws -> Statements.TimeZone? {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(bytes).write(to: folder.appending(path: "Zone"))
        return try? Statements.TimeZone("Zone", folder: folder.path + "/")
    }

    @Test("an offset holds from its moment on, and of local times the right one is taken")
    func offsets() throws {
        let zone = try #require(try zone(Self.file(3600, [(1000_000, 7200), (2000_000, 3600)])))
        #expect(zone.offset(at: -5) == 3600 && zone.offset(at: 999_999) == 3600)
        #expect(zone.offset(at: 1000_000) == 7200 && zone.offset(at: 1_999_999) == 7200)
        #expect(zone.offset(at: 9_999_999_999) == 3600)
        // 1 000 000 is told as 1 007 200; 1 003 600 to 1 007 199 never come.
        #expect(zone.offset(atLocal: 1_003_599) == 3600 && zone.offset(atLocal: 1_007_200) == 7200)
        #expect(zone.offset(atLocal: 2_003_599) == 7200 || zone.offset(atLocal: 2_003_599) == 3600)
        #expect(zone.offset(atLocal: 2_007_200) == 3600)
        #expect(Statements.TimeZone.utc.offset(atLocal: 5) == 0)
    }

    @Test("what is no file of a zone is none")
    func broken() throws {
        let whole = Self.file(3600, [(1000_000, 7200)])
        #expect(try zone(whole) != nil)
        for count in 0..<whole.count - 10 { #expect(try zone(Array(whole[..<count])) == nil) }
        for name in ["../zoneinfo/UTC", "/etc/passwd", "Mars/Base"] {
            #expect(throws: Statements.TimeZone.Unknown.self) { _ = try Statements.TimeZone(name) }
        }
    }
}
