import Foundation
import HTTP
import NIOEmbedded
import TestSupport
import Testing

/// Half of a token, or half of the users, would be taken for all of it.
@Suite struct WatchedFileTests {
    /// Scenario: a file that is written in place, and found half, empty and whole. Guarantees: what it said before stays until it
    /// says the same twice.
    @Test func halfWritten() async throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "watched-\(UUID())")
        defer { try? FileManager.default.removeItem(at: place) }
        func write(_ text: String) throws { try Data(text.utf8).write(to: place) }
        try write("first\n")
        let file = WatchedFile(
            place.path, key: "x", eventLoop: EmbeddedEventLoop(), logger: makeSilentLogger())
        try await file.start()
        #expect(file.text == "first")
        try write("sec")
        file.refresh()
        #expect(file.text == "first")
        try write("")
        file.refresh()
        #expect(file.text == "first")
        try write("second")
        file.refresh()
        #expect(file.text == "first")
        file.refresh()
        #expect(file.text == "second")
        // Back to what it said: nothing waits.
        try write("third")
        file.refresh()
        try write("second")
        file.refresh()
        try write("third")
        file.refresh()
        #expect(file.text == "second")
        file.stop()
    }
}
