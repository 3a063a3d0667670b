package import Configuration
package import Logging
package import NIOCore
internal import NIOPosix
internal import Synchronization

/// The text of a small file, such as a token, that others replace while the gateway runs. Read once a second, and taken up
/// when it says the same a second later, for it may be written just then; a file that cannot be read, or is empty, leaves the
/// text as it was. Any thread.
package final class WatchedFile: Sendable {
    private struct State {
        var text = ""
        /// What another text was found to be, once.
        var next: String?
        var task: RepeatedTask?
        var isUnreadable = false
    }

    private static let interval = TimeAmount.seconds(1)

    private let path: String
    private let key: String
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter key: the way to the key that names the file, for messages.
    package init(_ path: String, key: String, eventLoop: any EventLoop, logger: Logger) {
        self.path = path
        self.key = key
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// The text without white space around it; empty before `start`.
    package var text: String { state.withLock { $0.text } }

    /// Reads the file, and again from time to time.
    /// - Throws: it cannot be read.
    package func start() async throws {
        if case .failure(let error) = try await NIOThreadPool.singleton.runIfActive({ self.read() }) {
            throw WatchedFileError(description: "\(key): \"\(path)\" \(error.message)")
        }
        let task = eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) {
            [weak self] _ in
            guard let self else { return }
            NIOThreadPool.singleton.submit { _ in self.refresh() }
        }
        state.withLock { $0.task = task }
    }

    /// Reads it no more.
    package func stop() {
        state.withLock { $0.task }?.cancel()
    }

    /// Reads it now, as every second. Blocks.
    package func refresh() {
        let result = read()
        let isNew = state.withLock { state in
            let isUnreadable = if case .failure = result { true } else { false }
            defer { state.isUnreadable = isUnreadable }
            return isUnreadable && !state.isUnreadable
        }
        guard isNew, case .failure(let error) = result else { return }
        logger.warning(
            "A file cannot be read; what it said before is used.",
            metadata: ["key": "\(key)", "file": "\(path)", "error": "\(error.message)"])
    }

    private func read() -> Result<Void, ConfigFileError> {
        ConfigEnvironment.process.file(path).flatMap { text in
            let trimmed = text.trimmed
            // Perhaps it is just being written.
            guard !trimmed.isEmpty else { return .failure(.unreadable(reason: "it is empty")) }
            state.withLock { state in
                if state.text.isEmpty || state.next == trimmed { state.text = trimmed }
                state.next = trimmed == state.text ? nil : trimmed
            }
            return .success(())
        }
    }
}

/// Why a file cannot be used, as a sentence.
package struct WatchedFileError: Error, CustomStringConvertible {
    package let description: String
}

extension ConfigSection {
    /// The path of a file that must be readable when the gateway starts; nil when the key is not written.
    package func readableFile(_ key: String) -> String? {
        guard let path = optionalString(key), !path.isEmpty else { return nil }
        guard case .failure(let error) = ConfigEnvironment.process.file(path) else { return path }
        if diagnostics.toleratesMissingFiles {
            report(
                key, warning: "\"\(path)\" \(error.message)", help: "it must be there when the gateway starts"
            )
        } else {
            report(key, error: "\"\(path)\" \(error.message)", help: "put the file there")
        }
        return path
    }
}
