internal import AuditLog
internal import CPostgreSQL

/// A connection to a PostgreSQL server. Each call waits for its answer. One thread.
@safe
final class Connection {
    // SAFETY: the pointer is valid until deinit, which is the only place that closes it.
    private let handle: OpaquePointer

    /// Bytes of a COPY that are given to libpq at a time, which keeps a copy until they are sent.
    private static let chunkBytes = 1 << 20

    /// Connects.
    /// - Parameter conninfo: libpq's connection string or URI.
    init(_ conninfo: String) throws(AuditStoreError) {
        // SAFETY: the text is kept by the library for ever.
        if let missing = unsafe cpq_load() {
            throw AuditStoreError(
                .refused,
                "an audit log in PostgreSQL needs libpq (Debian: apt-get install libpq5): \(unsafe String(cString: missing))"
            )
        }
        // SAFETY: the text is a C string for the call.
        guard let handle = unsafe cpq_connect(conninfo) else {
            throw AuditStoreError(.unavailable, "no memory for a connection to PostgreSQL")
        }
        unsafe self.handle = unsafe handle
        guard unsafe cpq_is_connected(handle) != 0 else { throw failure("connect to PostgreSQL") }
    }

    deinit {
        unsafe cpq_close(handle)
    }

    /// Runs a command.
    /// - Parameter values: in the binary form of their types, at most 8, which the command names `$1::bytea` and so on.
    @discardableResult
    func run(_ sql: String, _ values: [[UInt8]] = []) throws(AuditStoreError) -> QueryResult {
        var offsets: [Int] = []
        // Not empty, so that it has an address.
        var bytes: [UInt8] = [0]
        for value in values {
            offsets.append(bytes.count)
            bytes += value
        }
        let result = unsafe bytes.withUnsafeBufferPointer { bytes in
            let list = unsafe zip(offsets, values).map { offset, value in
                // SAFETY: inside the buffer, which is borrowed for the call.
                unsafe cpq_value(
                    bytes: bytes.baseAddress.unsafelyUnwrapped + offset, count: Int32(value.count))
            }
            // SAFETY: libpq copies the values before it returns.
            return unsafe cpq_run(handle, sql, list, Int32(list.count))
        }
        return try unsafe checked(result, "run \"\(sql.prefix(60))\"")
    }

    /// Runs `COPY … FROM STDIN (FORMAT binary)`.
    /// - Parameter data: the whole of it, header and trailer included.
    func copy(_ sql: String, _ data: [UInt8]) throws(AuditStoreError) {
        try run(sql)
        for start in stride(from: 0, to: data.count, by: Self.chunkBytes) {
            let end = min(start + Self.chunkBytes, data.count)
            let isTaken = unsafe data[start..<end].withUnsafeBufferPointer { chunk in
                // SAFETY: not empty, borrowed for the call, which copies it.
                unsafe cpq_copy_bytes(handle, chunk.baseAddress.unsafelyUnwrapped, Int32(chunk.count)) != 0
            }
            guard isTaken else { throw failure("send rows") }
        }
        _ = try unsafe checked(cpq_copy_end(handle), "end \"\(sql.prefix(60))\"")
    }

    /// Runs `COPY … TO STDOUT`.
    /// - Parameter take: gets all of its bytes, in order.
    func copy(_ sql: String, _ take: (UnsafeRawBufferPointer) -> Void) throws(AuditStoreError) {
        try run(sql)
        var count: Int32 = 0
        // SAFETY: the bytes are this caller's until they are freed, and `take` borrows them.
        while let bytes = unsafe cpq_next_bytes(handle, &count) {
            unsafe take(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
            unsafe cpq_free_bytes(bytes)
        }
        _ = try unsafe checked(cpq_copy_result(handle), "end \"\(sql.prefix(60))\"")
    }

    private func checked(_ pointer: OpaquePointer?, _ action: String) throws(AuditStoreError) -> QueryResult {
        guard let pointer = unsafe pointer else { throw failure(action) }
        let result = unsafe QueryResult(pointer)
        guard unsafe cpq_outcome_of(pointer) == CPQ_FAILED else { return result }
        // SAFETY: texts of the result, which is alive; copied at once.
        guard let state = unsafe cpq_sqlstate(pointer) else { throw failure(action) }
        throw SQLState.error(
            unsafe String(cString: state), unsafe String(cString: cpq_message(pointer)), action)
    }

    /// What the connection says, when no server said anything: it is away, or was never there.
    private func failure(_ action: String) -> AuditStoreError {
        // SAFETY: copied before the next call.
        let words = unsafe String(cString: cpq_error(handle)).split(whereSeparator: \.isNewline)
        return AuditStoreError(
            .unavailable,
            "the audit log in PostgreSQL: cannot \(action): "
                + (words.isEmpty ? "the connection is lost" : words.joined(separator: "; ")))
    }
}

/// What a server's error codes (appendix A of its manual) mean for a log.
enum SQLState {
    static func error(_ state: String, _ message: String, _ action: String) -> AuditStoreError {
        let place = "the audit log in PostgreSQL: cannot \(action): \(message) (SQLSTATE \(state))"
        switch state {
        case "53100": return AuditStoreError(.unavailable, place + "; make room on the server's disk")
        case "42P01", "3F000", "42883", "42703":
            return AuditStoreError(.refused, place + "; make the tables: sluice audit schema")
        case "42501":
            return AuditStoreError(
                .refused, place + "; connect as sluice_audit_writer, or as sluice_audit_reader to read")
        default: break
        }
        switch state.prefix(2) {
        // A constraint: what is appended is there already, or is not what this version writes.
        case "22", "23": return AuditStoreError(.damaged, place + "; run sluice audit verify")
        case "XX": return AuditStoreError(.damaged, place + "; the server's files are damaged")
        // Connection, read-only server, rollback, resources, objects in use, operator, system.
        case "08", "25", "40", "53", "55", "57", "58": return AuditStoreError(.unavailable, place)
        default: return AuditStoreError(.refused, place)
        }
    }
}

/// Rows of one command, in binary form. One thread.
@safe
final class QueryResult {
    // SAFETY: the pointer is valid until deinit, which is the only place that frees it.
    private let pointer: OpaquePointer

    fileprivate init(_ pointer: OpaquePointer) {
        unsafe self.pointer = unsafe pointer
    }

    deinit {
        unsafe cpq_free(pointer)
    }

    var rows: Range<Int32> { 0..<(unsafe cpq_rows(pointer)) }

    /// What the server calls the command that it ran.
    var tag: String { unsafe String(cString: cpq_tag(pointer)) }

    /// Nil for NULL.
    func bytes(_ row: Int32, _ column: Int32) -> [UInt8]? {
        var count: Int32 = 0
        // SAFETY: owned by the result, which is alive; copied at once.
        guard let start = unsafe cpq_field(pointer, row, column, &count) else { return nil }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }

    /// A smallint, integer, bigint or boolean; nil for NULL.
    func number(_ row: Int32, _ column: Int32) -> UInt64? {
        bytes(row, column).map { $0.reduce(0) { $0 << 8 | UInt64($1) } }
    }

    /// Empty for NULL.
    func text(_ row: Int32, _ column: Int32) -> String {
        String(decoding: bytes(row, column) ?? [], as: UTF8.self)
    }

    /// Whether a boolean is true; not for NULL.
    func isTrue(_ row: Int32, _ column: Int32) -> Bool { number(row, column) == 1 }
}
