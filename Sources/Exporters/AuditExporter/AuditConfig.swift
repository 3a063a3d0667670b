package import Configuration
package import HTTP
package import Pipeline

/// The keys of the `audit` exporter.
package struct AuditConfig: Sendable, Equatable {
    /// Where the log is kept.
    package enum Store: Sendable, Equatable {
        /// Key `sqlite::path`.
        case sqlite(path: String)
        /// Key `postgresql::connection`.
        case postgresql(connection: String)
    }

    /// Who timestamps checkpoints. Section `timestamp`.
    package struct Timestamp: Sendable, Equatable {
        /// Of an RFC 3161 service. Required. Key `endpoint`.
        package var url: HTTPURL
        /// Where `SIZE.checkpoint` and its answer `SIZE.tsr` are written. Required. Key `folder`.
        package var folder: String
        /// Default 10m. Key `interval`.
        package var interval: Duration = .seconds(600)
    }

    /// The log's name, in its checkpoints; also the name of its keys. Required. Key `origin`.
    package var origin = ""
    /// The Ed25519 key that signs checkpoints, in PKCS#8. Required. Key `key_file`.
    package var keyFile = ""
    /// The key before it, which co-signs while readers change. Default none. Key `previous_key_file`.
    package var previousKeyFile: String?
    /// Required. Keys `sqlite` and `postgresql`.
    package var store: Store?
    /// Records of one transaction; a single request may have more. Default 1000. Key `max_commit_records`.
    package var maxCommitRecords = 1000
    /// Default 10s. Key `checkpoint_interval`.
    package var checkpointInterval: Duration = .seconds(10)
    /// Records after which a checkpoint does not wait for the interval. Default 10000. Key `checkpoint_records`.
    package var checkpointRecords = 10_000
    /// The file that always has the last checkpoint. Default none. Key `checkpoint_file`.
    package var checkpointFile: String?
    /// The exporter that gets each checkpoint as a log record. Default none. Key `checkpoint_exporter`.
    package var checkpointExporter: ComponentID?
    /// Default none. Key `timestamp`.
    package var timestamp: Timestamp?
    /// `queue_size`, `on_permanent_failure` and `divide_refused_batches`; the rest is fixed.
    package var sendingQueue = SendingQueueConfig()
    /// Default off: clients are told to try again. Key `retry_on_failure`.
    package var retryOnFailure = RetryConfig()

    /// Reads and checks the section; problems go to its diagnostics.
    package init(_ section: ConfigSection) {
        origin = Self.required("origin", section, help: "write origin: audit.example.com/gateway-0")
        if !origin.isEmpty, origin.contains(where: { $0.isWhitespace || $0 == "+" }) {
            section.report("origin", error: "must have no white space and no plus sign, found \"\(origin)\"")
        }
        keyFile = Self.required("key_file", section, help: "sluice audit keygen makes one")
        previousKeyFile = section.optionalString("previous_key_file")
        readStore(section)
        maxCommitRecords = section.int("max_commit_records", default: maxCommitRecords, in: 1...100_000)
        checkpointInterval = section.duration("checkpoint_interval", default: checkpointInterval)
        if checkpointInterval < .milliseconds(100), !section.isBroken("checkpoint_interval") {
            section.report(
                "checkpoint_interval", error: "must be at least 100ms, found \(checkpointInterval.text)")
        }
        checkpointRecords = section.int(
            "checkpoint_records", default: checkpointRecords, in: 1...1_000_000_000)
        checkpointFile = section.optionalString("checkpoint_file")
        checkpointExporter = section.componentID("checkpoint_exporter")
        if let stamps = section.section("timestamp") { readTimestamp(stamps) }
        sendingQueue.onPermanentFailure = section.componentID("on_permanent_failure")
        sendingQueue.dividesRefused = section.bool("divide_refused_batches", default: true)
        sendingQueue.judgesItems = true
        sendingQueue.queueSize = section.int("queue_size", default: 1000, in: 1...1_000_000)
        // All that waits is handed over at once, so that one commit has as much of it as it may.
        sendingQueue.numConsumers = min(sendingQueue.queueSize, 4096)
        sendingQueue.waitForResult = true
        retryOnFailure = RetryConfig(of: section)
        if !section.isWritten("retry_on_failure") { retryOnFailure.enabled = false }
        section.finish()
    }

    private static func required(_ key: String, _ section: ConfigSection, help: String) -> String {
        let text = section.string(key, default: "")
        if text.isEmpty, !section.isBroken(key) {
            section.report(section.has(key) ? key : nil, error: "requires a non-empty \"\(key)\"", help: help)
        }
        return text
    }

    private mutating func readTimestamp(_ section: ConfigSection) {
        let text = Self.required("endpoint", section, help: "write endpoint: https://tsa.example.com/tsr")
        let folder = Self.required("folder", section, help: "write folder: /var/lib/sluice/timestamps")
        let interval = section.duration("interval", default: .seconds(600))
        if interval < .seconds(1), !section.isBroken("interval") {
            section.report("interval", error: "must be at least 1s, found \(interval.text)")
        }
        section.finish()
        guard !text.isEmpty else { return }
        do throws(HTTPURLProblem) {
            timestamp = Timestamp(url: try HTTPURL(text), folder: folder, interval: interval)
        } catch {
            // A password may be in it.
            let isSecret = text.contains("@")
            section.report(
                "endpoint", error: isSecret ? error.withoutText : "\(error)",
                help: "write endpoint: https://tsa.example.com/tsr", showsLine: !isSecret)
        }
    }

    private mutating func readStore(_ section: ConfigSection) {
        if let sqlite = section.section("sqlite") {
            let path = Self.required("path", sqlite, help: "write path: /var/lib/sluice/audit.db")
            store = .sqlite(path: path)
            sqlite.finish()
        }
        if let postgresql = section.section("postgresql") {
            // May hold a password.
            let connection = postgresql.secret("connection")?.value ?? ""
            if connection.isEmpty, !postgresql.isBroken("connection") {
                postgresql.report(
                    nil, error: "requires a non-empty \"connection\"",
                    help: "write connection: host=db.example.com dbname=audit user=sluice_audit_writer")
            }
            if store != nil {
                section.report("postgresql", error: "does not go with \"sqlite\"; a log is kept in one store")
            }
            store = .postgresql(connection: connection)
            postgresql.finish()
        }
        if store == nil, !section.isBroken("sqlite"), !section.isBroken("postgresql") {
            section.report(
                nil, error: "requires a store",
                help: "write sqlite: {path: /var/lib/sluice/audit.db} or postgresql: {connection: …}")
        }
    }
}

extension AuditConfig: ComponentConfig {
    package var references: [ComponentReference] {
        var references = sendingQueue.references
        if let checkpointExporter {
            references.append(ComponentReference(checkpointExporter, .exporter, key: "checkpoint_exporter"))
        }
        return references
    }
}
