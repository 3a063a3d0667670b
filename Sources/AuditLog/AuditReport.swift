package import Hashing

extension AuditVerifier {
    /// What was checked.
    package struct Report: Sendable, Equatable {
        /// Rows that were read.
        package var entries: UInt64 = 0
        /// Entries that were detached: of them the kept tiles were read.
        package var detached: UInt64 = 0
        package var checkpoints = 0
        /// The tree's size and root at the end.
        package var size: UInt64 = 0
        package var root = Hash256(of: [])
        /// The first things that are wrong, at most `findingsMax`; empty: all is as it was written.
        package var findings: [AuditFinding] = []
        /// Entries that no checked checkpoint covers: nothing signed speaks for them yet.
        package var uncovered: UInt64 = 0
        /// When the first of them was recorded, in nanoseconds of Unix time; 0 for none, and for one that is missing.
        package var uncoveredSince: UInt64 = 0

        /// Whether so many entries, or so old ones, are without a checkpoint that later ones may have been
        /// removed: a gateway makes one every few seconds. Also when the time is as far ahead of `now`, which is
        /// more than two clocks differ by: whoever writes a row chooses its time.
        package func lacksCheckpoints(now: UInt64) -> Bool {
            // No sum: a row's time may be near the end of what 64 bits hold.
            let distance = max(now, uncoveredSince) - min(now, uncoveredSince)
            return uncovered > 100_000 || uncovered > 0 && distance > 600_000_000_000
        }
    }
}
