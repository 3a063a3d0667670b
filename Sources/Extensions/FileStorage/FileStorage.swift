internal import Configuration
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import OTLP
package import Pipeline
internal import Synchronization

extension FileStorageConfig: ComponentConfig {}

extension ComponentType {
    /// `file_storage`.
    package static let fileStorage = `extension`(
        "file_storage", capabilities: [.storage], FileStorageConfig.self
    ) { FileStorage($0, $1) }
}

/// Keeps sending queues on disk, each in a folder of its own: `file_storage`.
package final class FileStorage: StorageExtension {
    private let config: FileStorageConfig
    private let context: ComponentContext
    /// The folders of this process's queues.
    private let folders = Mutex<Set<String>>([])

    package init(_ config: FileStorageConfig, _ context: ComponentContext) {
        self.config = config
        self.context = context
    }

    package func makeStore(for exporter: ComponentContext) -> any BatchStore {
        // A processor is another one in each pipeline.
        let owner = exporter.pipeline.map { "\(exporter.name)@\($0)" } ?? exporter.name
        let settings = SegmentStore.Settings(
            config, kind: exporter.kind.rawValue, exporter: owner, signal: exporter.signal)
        folders.withLock { _ = $0.insert(settings.folder) }
        return SegmentStore(
            settings, ledger: exporter.ledger, eventLoop: exporter.eventLoop, logger: exporter.logger)
    }

    /// Says what the directory holds of exporters that are gone or have another name. All exporters are made by now.
    package func start() async throws {
        let (directory, used) = (config.directory, folders.withLock { $0 })
        let strays = try await NIOThreadPool.singleton.runIfActive {
            StrayQueue.find(in: directory, except: used)
        }
        for stray in strays {
            context.logger.warning(
                "The store holds data that no exporter sends: its exporter is gone, has another name, or no storage.",
                metadata: [
                    "folder": "\(stray.folder)", "batches": "\(stray.batches)", "items": "\(stray.items)",
                ])
        }
    }
}
