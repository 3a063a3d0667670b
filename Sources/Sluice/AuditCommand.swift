import AuditLog
import Pipeline
import PostgreSQLAuditStore
import SQLiteAuditStore

#if canImport(Glibc)
    import Glibc
#endif

extension Sluice {
    /// `sluice audit`: an audit log, verified and taken out.
    static func audit(_ arguments: Arguments) throws(UsageError) -> Exit {
        guard let action = arguments.files.first.flatMap({ AuditAction(rawValue: $0) }) else {
            throw UsageError(
                description: "audit needs one of "
                    + AuditAction.allCases.map(\.rawValue).joined(separator: ", "))
        }
        let wordsMax = action == .prove ? 2 : 1
        guard arguments.files.count <= wordsMax else {
            throw UsageError(
                description: "audit \(action.rawValue) takes no \"\(arguments.files[wordsMax])\"")
        }
        do {
            switch action {
            case .keygen: return try keygen(arguments)
            case .verify: return try verify(arguments)
            case .checkpoint: return try checkpoint(arguments)
            case .prove: return try prove(arguments)
            case .export: return try export(arguments)
            case .tail: return try tail(arguments)
            case .schema: return schema()
            case .detach: return try detach(arguments)
            }
        } catch let error as UsageError {
            throw error
        } catch {
            complain("sluice: \(error)")
            return .failed
        }
    }

    private enum AuditAction: String, CaseIterable {
        case verify
        case export
        case prove
        case checkpoint
        case keygen
        case tail
        case schema
        case detach
    }

    /// An option that must be there.
    private static func required(_ name: String, _ arguments: Arguments) throws -> String {
        guard let value = arguments.value(name), !value.isEmpty else {
            throw UsageError(description: "audit \(arguments.files[0]) needs \(name)")
        }
        return value
    }

    /// The log's store, open.
    private static func store(
        _ arguments: Arguments, _ access: AuditAccess = .reading
    ) throws -> any AuditStore {
        let place = try required("--store", arguments)
        let isPostgreSQL = place.hasPrefix("postgresql://") || place.hasPrefix("postgres://")
        let store: any AuditStore =
            isPostgreSQL ? PostgreSQLAuditStore(conninfo: place) : SQLiteAuditStore(path: place)
        try store.open(access)
        return store
    }

    /// The scripts that make a log's roles and tables in PostgreSQL.
    private static func schema() -> Exit {
        print(AuditSchema.roles, AuditSchema.schema, separator: "\n", terminator: "")
        return .ok
    }

    private static func keygen(_ arguments: Arguments) throws -> Exit {
        let (name, path) = (try required("--origin", arguments), try required("--key", arguments))
        guard VerifierKey.isName(name) else {
            throw UsageError(description: "--origin \"\(name)\" has white space or a plus sign")
        }
        let key = SigningKey.random(name: name)
        try key.write(to: path)
        print(key.verifier.text)
        return .ok
    }

    private static func verify(_ arguments: Arguments) throws -> Exit {
        let path = try required("--keyring", arguments)
        let keyring = try Keyring(text: try KeyFile.read(path, isPrivate: false), name: path)
        let foreign = try arguments.all("--checkpoint").map { path throws(KeyError) in
            try KeyFile.read(path, isPrivate: false)
        }
        let store = try store(arguments)
        defer { store.close() }
        let bar = ProgressLine("entries")
        let report = try AuditVerifier(store, keyring: keyring, foreign: foreign) { bar.show($0, of: $1) }
            .verify()
        bar.clear()
        for finding in report.findings { print("WRONG: \(finding)") }
        print(
            "\(report.entries) entries and \(report.checkpoints) checkpoints checked in \(bar.seconds) s"
                + (bar.isSlow ? ", \(bar.rate(report.entries)) entries/s" : "")
                + "; \(report.uncovered) entries are not covered by a checkpoint yet")
        if report.detached > 0 {
            print("\(report.detached) entries were detached; their kept hashes are part of what was checked")
        }
        let now = UInt64(max(0, SystemClock.unixNanoseconds()))
        if report.lacksCheckpoints(now: now) {
            let since = UTCTime(unixNanoseconds: Int64(clamping: report.uncoveredSince)).rfc3339
            print(
                "WARNING: nothing signed speaks for the last \(report.uncovered) entries, since \(since). A gateway makes a "
                    + "checkpoint every few seconds: later ones may have been removed and these entries written anew. Compare "
                    + "with one that was kept elsewhere: --checkpoint FILE")
        }
        guard report.findings.isEmpty else {
            let first = report.findings.compactMap(\.sequence).min()
            print("FAILED" + (first.map { ": the first wrong entry is \($0)" } ?? ""))
            print(
                "Keep the store as it is, it is evidence; then put what an export or a backup from before has into a copy of "
                    + "it, and verify that.")
            return .failed
        }
        print("ok: size \(report.size), root \(report.root)")
        return .ok
    }

    private static func checkpoint(_ arguments: Arguments) throws -> Exit {
        let store = try store(arguments)
        defer { store.close() }
        print(try LogExport(store).checkpoint.note, terminator: "")
        return .ok
    }

    private static func prove(_ arguments: Arguments) throws -> Exit {
        guard arguments.files.count == 2, let id = RecordID(text: Array(arguments.files[1].utf8)) else {
            throw UsageError(description: "audit prove needs a record's id, a UUID")
        }
        let store = try store(arguments)
        defer { store.close() }
        print(try LogExport(store).proof(of: id), terminator: "")
        return .ok
    }

    private static func export(_ arguments: Arguments) throws -> Exit {
        let format = try arguments.choice("--as", of: ["dsse", "tiles"])
        let (from, to) = try range(arguments)
        if format == "tiles", arguments.value("--from") != nil || arguments.value("--to") != nil {
            throw UsageError(
                description: "--from and --to do not go with --as tiles, which are the whole log")
        }
        let key =
            format == "dsse"
            ? try SigningKey(path: required("--key", arguments), name: required("--origin", arguments)) : nil
        let folder = format == "tiles" ? try required("--out", arguments) : ""
        let store = try store(arguments)
        defer { store.close() }
        let log = try LogExport(store)
        if let key {
            try log.dsse(from...to, signedBy: key) { print($0) }
        } else {
            try log.tiles { path, bytes in try TileFolder.write(bytes, to: "\(folder)/\(path)") }
        }
        return .ok
    }

    private static func detach(_ arguments: Arguments) throws -> Exit {
        let text = try required("--month", arguments)
        guard let month = AuditMonth(text: text) else {
            throw UsageError(description: "--month \"\(text)\" must be a month such as 2026-01")
        }
        let key = try SigningKey(path: required("--key", arguments), name: required("--origin", arguments))
        let folder = try required("--out", arguments)
        try TileFolder.makeNew(folder)
        let store = try store(arguments, .detaching)
        defer { store.close() }
        let entries = try LogExport(store).detach(
            through: month, key: key, now: UInt64(max(0, SystemClock.unixNanoseconds()))
        ) { path, bytes in try TileFolder.write(bytes, to: "\(folder)/\(path)", isSynced: true) }
        print("detached the entries \(entries.lowerBound) to \(entries.upperBound); they are in \(folder)")
        return .ok
    }

    /// The sequences of `--from` and `--to`.
    private static func range(_ arguments: Arguments) throws(UsageError) -> (UInt64, UInt64) {
        let from = try arguments.number("--from", default: 1, in: 1...Int.max)
        let to = try arguments.number("--to", default: Int.max, in: 1...Int.max)
        guard from <= to else { throw UsageError(description: "--from \(from) is behind --to \(to)") }
        return (UInt64(from), UInt64(to))
    }

    private static func tail(_ arguments: Arguments) throws -> Exit {
        let follows = try arguments.choice("--follow", of: ["yes", "no"]) == "yes"
        let store = try store(arguments)
        defer { store.close() }
        let size = try store.tail().size
        let first = try arguments.number("--from", default: Int(max(1, size - min(size, 9))), in: 1...Int.max)
        var next = UInt64(first)
        while true {
            let rows = try store.rows(from: next, limit: 500)
            for row in rows { print(EventLine.text(row)) }
            // All streams.
            fflush(nil)
            next = rows.last.map { $0.sequence + 1 } ?? next
            guard rows.count < 500 else { continue }
            guard follows else { return .ok }
            usleep(300_000)
        }
    }
}
