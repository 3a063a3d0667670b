import AuditLog
import Configuration
import NIOCore
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import AuditExporter

/// Without these a client would believe that its event is kept when it is not, or could not get rid of one that never will be.
@Suite("Audit exporter")
struct AuditExporterTests {
    /// The answer is the commit's: what was acknowledged is in the log of the next process, and the log verifies.
    @Test("what is acknowledged is in the log, and a checkpoint covers it after the stop")
    func acknowledged() async throws {
        let rig = try Rig()
        try await rig.run(", checkpoint_file: \(rig.folder)/checkpoint") { exporter async throws in
            #expect(try await rig.send(Rig.records([1, 2]), items: 2, to: exporter) == .accepted)
            #expect(try await rig.send(Rig.records([3]), to: exporter) == .accepted)
            #expect(try rig.report().entries == 3)
            #expect(rig.shows("sluice_audit_appended_records{exporter=\"audit\"} 3"))
            #expect(rig.shows("sluice_audit_tree_size{exporter=\"audit\"} 3"))
        }
        let report = try rig.report()
        #expect(report.findings == [] && report.entries == 3 && report.uncovered == 0)
        let kept = try KeyFile.read(rig.folder + "/checkpoint", isPrivate: true)
        #expect(try Keyring(rig.key.verifier).checkpoint(of: kept).size == 3)
        #expect(rig.shows("sluice_audit_checkpoint_size{exporter=\"audit\"} 3"))
        try await rig.run { exporter async throws in
            #expect(try await rig.send(Rig.records([4]), to: exporter) == .accepted)
        }
        #expect(try rig.report().entries == 4)
    }

    /// A client that got no answer sends again; one that reuses an id must hear that its event is not kept.
    @Test("a record again is acknowledged and kept once, another one with its id is refused")
    func idempotency() async throws {
        let rig = try Rig()
        try await rig.run { exporter async throws in
            #expect(try await rig.send(Rig.records([1]), to: exporter) == .accepted)
            #expect(try await rig.send(Rig.records([1]), to: exporter) == .accepted)
            guard
                case .refused(let refusal) = try await rig.send(
                    Rig.records([1], action: "DELETE"), to: exporter)
            else {
                Issue.record("a record was replaced")
                return
            }
            #expect(refusal.code == .alreadyExists && refusal.isPermanent)
            #expect(refusal.message.contains(Rig.id(1)) && refusal.message.contains("entry 1"))
            #expect(rig.shows("sluice_audit_duplicate_records{exporter=\"audit\"} 1"))
            #expect(rig.shows("sluice_audit_rejected_records{exporter=\"audit\",reason=\"conflict\"} 1"))
        }
        #expect(try rig.report().entries == 1)
    }

    /// One bad record must not cost the others of its request.
    @Test("a record that is no event is refused by name, the others of its request are kept")
    func invalid() async throws {
        let rig = try Rig()
        try await rig.run { exporter async throws in
            let bad = "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"7\"}]}]}]}"
            guard case .refused(let refusal) = try await rig.send(bad, to: exporter) else {
                Issue.record("a log line was kept")
                return
            }
            #expect(refusal.code == .invalidArgument && refusal.isPermanent)
            #expect(refusal.message.contains("audit.record.id"))
            let mixed = Rig.records([1, 2, 3]).replacing(
                "\"value\":{\"stringValue\":\"\(Rig.id(2))\"}", with: "\"value\":{\"stringValue\":\"x\"}")
            let outcome = try await rig.send(mixed, items: 3, to: exporter)
            guard case .partial(1, let message) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(message.contains("audit.record.id is \"x\"; must be a UUID"))
        }
        #expect(try rig.report().entries == 2)
        #expect(rig.shows("sluice_audit_rejected_records{exporter=\"audit\",reason=\"invalid\"} 2"))
    }

    /// The gateway must not start where it could not keep its promise.
    @Test("a second gateway on the log, and a key that others may read, do not start")
    func start() async throws {
        let rig = try Rig()
        try await rig.run { _ async throws in
            let second = try Rig(beside: rig).exporter()
            let error = await #expect(throws: ComponentError.self) { try await second.start() }
            #expect(error?.description.contains("another process writes the audit log") == true)
            _ = await second.stop(until: .now())
        }
        rig.permitKey(0o644)
        let error = #expect(throws: ComponentError.self) { try rig.exporter() }
        #expect(error?.description.contains("chmod 600") == true)
    }

    /// Somebody who tries to get in all night must be in the log, and must not fill it.
    @Test("of events that others bring about one in ten seconds is kept, and says how many there were")
    func bounded() async throws {
        let rig = try Rig()
        let store = FailingStore()
        let clock = Noted<Int64>(0)
        let keeper = try rig.keeper(store) { clock.value }
        try await keeper.open()
        func refuse(_ kind: String, _ times: Int) async throws -> [String] {
            for _ in 0..<times {
                keeper.record(
                    OwnEvent("a.b", action: "TRY", outcome: "failure", [("k", kind)]), boundedAs: kind)
            }
            keeper.recordWaiting()
            // Behind that, on the same thread.
            _ = try await rig.keep(Rig.records([1]), with: keeper)
            return store.texts("sluice.events")
        }
        #expect(try await refuse("a", 1) == ["1"])
        #expect(try await refuse("a", 100) == ["1"])
        #expect(try await refuse("b", 1) == ["1", "1"])
        clock.change { $0 = 9_999_999_999 }
        #expect(try await refuse("a", 20) == ["1", "1"])
        clock.change { $0 += 1 }
        #expect(try await refuse("a", 1) == ["1", "1", "121"])
        // While the log is away they are counted; the end waits for nobody's turn.
        store.fails = true
        _ = try await rig.keep(Rig.records([2]), with: keeper)
        #expect(try await refuse("a", 7).count == 3)
        store.fails = false
        clock.change { $0 += 1_000_000_000 }
        #expect(try await refuse("b", 3) == ["1", "1", "121", "3"])
        await withCheckedContinuation { continuation in keeper.close { continuation.resume() } }
        #expect(store.texts("sluice.events") == ["1", "1", "121", "3", "7"])
    }

    /// Who changed the store behind the gateway's back must not be out of the log again once the store is mended.
    @Test("that the log was not what was kept in it is in the log, once, when it can be written again")
    func damaged() async throws {
        let rig = try Rig()
        let store = FailingStore()
        let clock = Noted<Int64>(0)
        let keeper = try rig.keeper(store) { clock.value }
        try await keeper.open()
        keeper.record(OwnEvent("sluice.gateway.start", action: "START", []))
        store.isDamaged = true
        for _ in 0..<3 {
            let answer = try await rig.keep(Rig.records([1]), with: keeper)
            #expect(answer == "retryable: the audit log takes no events: entry 7 is there already")
            clock.change { $0 += 1_000_000_000 }
        }
        #expect(rig.shows("sluice_audit_verify_failures{exporter=\"audit\"} 3"))
        store.isDamaged = false
        #expect(try await rig.keep(Rig.records([1]), with: keeper) == "sent")
        #expect(store.texts("sluice.audit.error") == ["entry 7 is there already"])
    }

    /// A store that goes away costs nobody an event: clients are asked to come again, and what was committed is known.
    @Test("a commit that fails refuses for the moment; the store is opened again")
    func outage() async throws {
        let rig = try Rig()
        let store = FailingStore()
        let clock = Noted<Int64>(0)
        let keeper = try rig.keeper(store) { clock.value }
        try await keeper.open()
        #expect(try await rig.keep(Rig.records([1]), with: keeper) == "sent")
        store.fails = true
        let answer = try await rig.keep(Rig.records([2]), with: keeper)
        #expect(answer == "retryable: the audit log takes no events: the disk is full")
        #expect(try await rig.keep(Rig.records([2]), with: keeper).hasPrefix("retryable"))
        #expect(rig.shows("sluice_audit_failed_commits{exporter=\"audit\"} 1"))
        store.fails = false
        clock.change { $0 += 999_999_999 }
        #expect(try await rig.keep(Rig.records([2]), with: keeper).hasPrefix("retryable"))
        clock.change { $0 += 1 }
        #expect(try await rig.keep(Rig.records([2]), with: keeper) == "sent")
        #expect(store.sequences == [1, 2])
    }
}
