internal import AuditLog
internal import Configuration
internal import Logging
internal import NIOCore
internal import OTLP
internal import Pipeline

/// Hands each checkpoint to another exporter as a log record, so that it is kept where this machine cannot change it. Any thread.
final class CheckpointNotices: Sendable {
    private let exporter: ComponentID
    private let consumer: any Consumer
    private let passed: Counter
    private let announced: Counter
    private let logger: Logger

    init(_ exporter: ComponentID, _ context: ComponentContext) {
        self.exporter = exporter
        let target = context.exporter(exporter)
        consumer = target.input.consumer
        passed = context.account.counter(
            .passed, "sluice_audit_exported_checkpoints",
            help: "Checkpoints that were handed to checkpoint_exporter.", labels: ["exporter": context.name])
        announced = target.account.counter(.announced)
        logger = context.logger
    }

    /// Hands one over. What the other exporter does not take is lost for it: the next one covers it, too.
    func send(_ checkpoint: StoredCheckpoint, origin: String) {
        let request = Self.request(checkpoint, origin: origin)
        let batch = Batch(.logs, payload: Payload(ByteBuffer(bytes: request)), items: 1)
        passed.add(1)
        announced.add(1)
        guard let refusal = consumer.consume(batch) else { return }
        logger.error(
            "The audit checkpoint was not taken by checkpoint_exporter.",
            metadata: ["checkpoint_exporter": "\(exporter)", "error": "\(refusal.message)"])
        consumer.drop(batch, because: refusal)
    }

    /// An `ExportLogsServiceRequest` of one record, whose body is the note.
    static func request(_ checkpoint: StoredCheckpoint, origin: String) -> [UInt8] {
        func attribute(_ key: String, _ value: (inout WireWriter) -> Void) -> [UInt8] {
            WireWriter.bytes { writer in
                writer.text(1, key)
                writer.field(2, WireWriter.bytes(value))
            }
        }
        let record = WireWriter.bytes { writer in
            writer.fixed64(1, checkpoint.time)
            // INFO.
            writer.integer(2, 9)
            writer.field(5, WireWriter.bytes { $0.text(1, checkpoint.note) })
            writer.field(6, attribute("sluice.audit.origin") { $0.text(1, origin) })
            writer.field(6, attribute("sluice.audit.size") { $0.whole(3, Int64(clamping: checkpoint.size)) })
            writer.fixed64(11, checkpoint.time)
            writer.text(12, "sluice.audit.checkpoint")
        }
        let scope = WireWriter.bytes { $0.field(2, record) }
        let resource = WireWriter.bytes { $0.field(2, scope) }
        return WireWriter.bytes { $0.field(1, resource) }
    }
}
