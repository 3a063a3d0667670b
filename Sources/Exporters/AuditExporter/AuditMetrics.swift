internal import Pipeline
internal import Synchronization

/// What the `audit` exporter says of its log.
final class AuditMetrics: Sendable {
    let appended: Counter
    let known: Counter
    /// Records refused for what is in them, and for an id that is in the log with other content.
    let invalid: Counter
    let conflicting: Counter
    let failedCommits: Counter
    let verifyFailures: Counter
    let timestamps: Counter
    let failedTimestamps: Counter
    let commitSeconds: Histogram
    private let treeSize: Gauge
    private let checkpointSize: Gauge
    /// Nanoseconds of the kernel's clock since which an entry waits for a checkpoint; 0: none does.
    private let waitingSince = Atomic<Int64>(0)

    init(_ registry: MetricRegistry, exporter: String) {
        let labels: MetricLabels = ["exporter": exporter]
        appended = registry.counter(
            "sluice_audit_appended_records", help: "Records that were committed to the audit log.",
            labels: labels)
        known = registry.counter(
            "sluice_audit_duplicate_records",
            help: "Records that came again and were in the audit log already.",
            labels: labels)
        let rejected = "sluice_audit_rejected_records"
        let help =
            "Records that the audit log did not take: no audit event, or another one of their id is there."
        invalid = registry.counter(rejected, help: help, labels: labels.adding("reason", "invalid"))
        conflicting = registry.counter(rejected, help: help, labels: labels.adding("reason", "conflict"))
        failedCommits = registry.counter(
            "sluice_audit_failed_commits",
            help: "Commits and checkpoints that failed, and openings of the store.",
            labels: labels)
        verifyFailures = registry.counter(
            "sluice_audit_verify_failures",
            help: "Times that the store was opened or written and is not what was kept in it.", labels: labels
        )
        timestamps = registry.counter(
            "sluice_audit_timestamps", help: "Checkpoints that an RFC 3161 service has timestamped.",
            labels: labels)
        failedTimestamps = registry.counter(
            "sluice_audit_failed_timestamps",
            help: "Times that an RFC 3161 service was asked for a timestamp and gave none.", labels: labels)
        commitSeconds = registry.histogram(
            "sluice_audit_commit_seconds", help: "How long a commit of records took.",
            bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10], labels: labels)
        treeSize = registry.gauge(
            "sluice_audit_tree_size", help: "Entries in the audit log.", labels: labels)
        checkpointSize = registry.gauge(
            "sluice_audit_checkpoint_size", help: "Entries that the last checkpoint covers.", labels: labels)
        registry.observeGauge(
            "sluice_audit_checkpoint_age_seconds",
            help: "How long the oldest entry without a checkpoint has waited for one; 0 when there is none.",
            labels: labels
        ) { [weak self] in
            guard let since = self?.waitingSince.load(ordering: .relaxed), since > 0 else { return 0 }
            return Double(max(0, SystemClock.unixNanoseconds() - since)) / 1e9
        }
    }

    /// Says where the log ends. The log's thread.
    func show(size: UInt64, uncovered: UInt64) {
        treeSize.set(Int(size))
        checkpointSize.set(Int(size - uncovered))
        if uncovered == 0 {
            waitingSince.store(0, ordering: .relaxed)
        } else if waitingSince.load(ordering: .relaxed) == 0 {
            waitingSince.store(SystemClock.unixNanoseconds(), ordering: .relaxed)
        }
    }
}
