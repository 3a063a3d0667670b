internal import AuditLog
internal import CSQLite
internal import Hashing

/// A connection to an SQLite database and its statements. One thread.
@safe
final class Database {
    private var handle: OpaquePointer?
    let path: String

    /// Opens a file that is there.
    init(_ path: String, isWritable: Bool) throws(AuditStoreError) {
        self.path = path
        let flags = (isWritable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX
        // SAFETY: the path is a C string for the call; the handle is closed in deinit, also after a failure.
        let code = unsafe sqlite3_open_v2(path, &handle, flags, nil)
        guard code == SQLITE_OK else { throw failure(code, "open it") }
        // SAFETY: the handle is open.
        unsafe sqlite3_busy_timeout(handle, 5000)
    }

    deinit {
        // SAFETY: closed once; statements are finalized before, since they keep the database alive.
        unsafe sqlite3_close_v2(handle)
    }

    /// Runs statements without values.
    func run(_ sql: String) throws(AuditStoreError) {
        // SAFETY: the text is a C string for the call.
        let code = unsafe sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw failure(code, "run \"\(sql.prefix(60))\"") }
    }

    /// Makes a statement, to be used many times.
    func prepare(_ sql: String) throws(AuditStoreError) -> Statement {
        var pointer: OpaquePointer?
        // SAFETY: the text is a C string for the call; the statement finalizes what it is given.
        let code = unsafe sqlite3_prepare_v2(handle, sql, -1, &pointer, nil)
        guard code == SQLITE_OK, let pointer = unsafe pointer else {
            throw failure(code, "prepare \"\(sql.prefix(60))\"")
        }
        return unsafe Statement(pointer, self)
    }

    /// Ends a transaction that failed; no error, since SQLite may have ended it itself.
    func rollBack() {
        // SAFETY: the text is a C string for the call.
        unsafe sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
    }

    /// What a code means.
    func failure(_ code: Int32, _ action: String) -> AuditStoreError {
        // SAFETY: the text belongs to the handle until the next call; copied at once.
        let text = unsafe handle == nil ? "no memory" : String(cString: sqlite3_errmsg(handle))
        let place = "the audit log \"\(path)\": cannot \(action): \(text) (SQLite \(code))"
        switch code & 0xff {
        case SQLITE_FULL: return AuditStoreError(.unavailable, place + "; make room on its disk")
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_NOMEM, SQLITE_INTERRUPT:
            return AuditStoreError(.unavailable, place)
        case SQLITE_CONSTRAINT, SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_MISMATCH:
            return AuditStoreError(.damaged, place + "; run sluice audit verify")
        default: return AuditStoreError(.refused, place)
        }
    }
}

/// One statement, whose values are bound by position, from 1. One thread.
@safe
final class Statement {
    // SAFETY: the pointer is valid until deinit, which is the only place that finalizes it.
    private let pointer: OpaquePointer
    private let database: Database

    fileprivate init(_ pointer: OpaquePointer, _ database: Database) {
        unsafe self.pointer = unsafe pointer
        self.database = database
    }

    deinit {
        unsafe sqlite3_finalize(pointer)
    }

    /// Sets a number.
    func bind(_ index: Int32, _ value: UInt64) throws(AuditStoreError) {
        guard let value = Int64(exactly: value) else {
            throw AuditStoreError(
                .refused, "\(value) is more than the audit log \"\(database.path)\" can number")
        }
        try check(unsafe sqlite3_bind_int64(pointer, index, value))
    }

    /// Sets bytes.
    func bind(_ index: Int32, _ bytes: [UInt8]) throws(AuditStoreError) {
        try check(unsafe csqlite_bind_copy(pointer, index, bytes, Int32(bytes.count)))
    }

    /// Sets text.
    func bind(_ index: Int32, _ text: String) throws(AuditStoreError) {
        try check(unsafe csqlite_bind_text_copy(pointer, index, text, Int32(text.utf8.count)))
    }

    /// Goes on to the next row; false when there is none, after which the statement can be used again.
    func step() throws(AuditStoreError) -> Bool {
        let code = unsafe sqlite3_step(pointer)
        if code == SQLITE_ROW { return true }
        // SAFETY: the message is read before the statement is reset.
        let error = code == SQLITE_DONE ? nil : database.failure(code, "do what was asked")
        unsafe sqlite3_reset(pointer)
        if let error { throw error }
        return false
    }

    /// Runs a statement that has no rows.
    func run() throws(AuditStoreError) {
        while try step() {}
    }

    /// A column of the row, from 0, as a number.
    func number(_ column: Int32) -> UInt64 {
        UInt64(bitPattern: unsafe sqlite3_column_int64(pointer, column))
    }

    /// The same of one that may be below 0.
    func signed(_ column: Int32) -> Int64 { unsafe sqlite3_column_int64(pointer, column) }

    /// Whether the column is NULL.
    func isNull(_ column: Int32) -> Bool { unsafe sqlite3_column_type(pointer, column) == SQLITE_NULL }

    /// As bytes.
    func bytes(_ column: Int32) -> [UInt8] {
        // SAFETY: valid until the next step; copied at once. The count is asked for after the value, as SQLite wants it.
        guard let start = unsafe sqlite3_column_blob(pointer, column) else { return [] }
        let count = Int(unsafe sqlite3_column_bytes(pointer, column))
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// As a record's id; nil for another length.
    func recordID(_ column: Int32) -> RecordID? { unsafe borrowed(column) { unsafe RecordID($0) } }

    /// As a hash; nil for another length.
    func hash(_ column: Int32) -> Hash256? { unsafe borrowed(column) { unsafe Hash256($0) } }

    /// What is read of a column's bytes, which are valid for the call; nil for an empty one.
    func borrowed<Value>(_ column: Int32, _ read: (UnsafeRawBufferPointer) -> Value?) -> Value? {
        // SAFETY: valid until the next step; read at once. The count is asked for after the value, as SQLite wants it.
        guard let start = unsafe sqlite3_column_blob(pointer, column) else { return nil }
        let count = Int(unsafe sqlite3_column_bytes(pointer, column))
        return unsafe read(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// As text.
    func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    /// Forgets the rest of the rows.
    func reset() {
        unsafe sqlite3_reset(pointer)
    }

    private func check(_ code: Int32) throws(AuditStoreError) {
        guard code == SQLITE_OK else { throw database.failure(code, "take a value") }
    }
}
