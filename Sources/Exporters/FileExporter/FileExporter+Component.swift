internal import NIOCore
package import Pipeline

extension FileExporterConfig: ComponentConfig {
    package var references: [ComponentReference] { sendingQueue.references }
}

extension ComponentType {
    /// `file`: the signals of one id share one file.
    package static let fileExporter = exporter("file", FileExporterConfig.self) { config, context in
        let writer = try context.shared {
            do throws(FileError) {
                return try FileWriter(
                    config, name: context.name, registry: context.registry, logger: context.logger)
            } catch {
                throw ComponentError("path: \(error)")
            }
        }
        return SendingQueue(
            config.sendingQueue, retry: config.retryOnFailure,
            sender: FileSender(writer, eventLoop: context.eventLoop), context)
    }
}

// Its senders open and close it.
extension FileWriter: Component {}
