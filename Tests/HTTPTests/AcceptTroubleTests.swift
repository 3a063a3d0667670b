import Glibc
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP

/// Without these a gateway that has run out of files keeps a core busy with accepting nothing, and fills its log.
@Suite struct AcceptTroubleTests {
    private struct Lines: LogHandler {
        final class Store { var lines: [String] = [] }
        nonisolated(unsafe) let store: Store
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { store.lines.append("\(event.level): \(event.message)") }
    }

    private let store = Lines.Store()
    private let channel = EmbeddedChannel()

    init() throws {
        let logger = Logger(label: "test") { [store] _ in Lines(store: store) }
        try AcceptTrouble.install(on: channel, logger: logger)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    /// Whether it reads by itself; nil when nobody has said.
    private var reads: Bool? {
        channel.options.first { $0.option is ChannelOptions.Types.AutoReadOption }?.value as? Bool
    }

    private func fail(_ code: CInt) {
        channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept"))
        // The channel throws what came to its end.
        #expect(throws: IOError.self) { try channel.throwIfErrorCaught() }
    }

    @Test func aFailedAcceptIsTriedAgainASecondLaterAndReportedOnce() throws {
        for _ in 0..<3 {
            fail(EMFILE)
            #expect(reads == false)
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(999))
            #expect(reads == false)
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
            #expect(reads == true)
        }
        #expect(store.lines == ["error: Cannot accept connections. Trying again every second."])
        channel.pipeline.fireChannelRead(channel as any Channel)
        channel.pipeline.fireChannelRead(channel as any Channel)
        channel.embeddedEventLoop.advanceTime(by: .seconds(5))
        fail(ENFILE)
        #expect(store.lines.count == 3 && store.lines[1] == "info: Connections are accepted again.")
    }

    /// Guarantees: places that idle connections give up, and that a crowd takes at once, do not fill the log.
    @Test func anAcceptedConnectionBetweenFailuresIsNoEnd() throws {
        for _ in 0..<20 {
            fail(EMFILE)
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            channel.pipeline.fireChannelRead(channel as any Channel)
        }
        #expect(store.lines.count == 1)
        channel.embeddedEventLoop.advanceTime(by: .seconds(5))
        channel.pipeline.fireChannelRead(channel as any Channel)
        channel.embeddedEventLoop.advanceTime(by: .seconds(5))
        #expect(store.lines.count == 2)
    }

    /// Guarantees: a client that is gone before it was accepted costs nobody a second.
    @Test func otherFailuresAreNoReasonToWait() {
        fail(ECONNABORTED)
        #expect(reads == nil && store.lines.isEmpty)
    }
}
