internal import OTLP

/// `url_sanitizer` and `db_sanitizer`: what they make of attributes and of the names of spans. Immutable.
struct Sanitizers: Sendable {
    private let urls = URLSanitizer()
    private let urlKeys: KeySet?
    private let namesOfURLs: Bool
    private let databases: [DatabaseSanitizer]
    private let namesOfStatements: Bool

    private static let systemKeys = [OwnedBytes("db.system.name"), OwnedBytes("db.system")]
    /// One of these tells a span of HTTP whose name has no path.
    private static let httpKeys = [
        "http.route", "http.request.method", "http.request.method_original", "http.response.status_code",
        "url.full",
        "http.scheme", "http.target", "http.method", "http.url",
    ].map { OwnedBytes($0) }

    init(_ config: RedactionConfig) {
        urlKeys = config.urlAttributes.map { KeySet($0) }
        namesOfURLs = config.sanitizesURLNames
        databases = DatabaseSanitizer.Kind.allCases.compactMap { kind in
            config.statementAttributes[kind.rawValue].map {
                DatabaseSanitizer(kind: kind, attributes: Set($0))
            }
        }
        namesOfStatements = config.sanitizesStatementNames
    }

    /// What the attributes say of the database, in small letters; nil when nothing, or nobody asks.
    func system(of table: AttributeTable, _ request: RequestEditor) -> String? {
        guard !databases.isEmpty else { return nil }
        for key in Self.systemKeys {
            if case .string(let name)? = request.value(key.bytes, in: table) { return name.text.lowercased() }
        }
        return nil
    }

    /// The value of an attribute without ids or values; nil when it stays.
    func sanitize(_ key: WireBytes, _ value: WireBytes, _ system: String?) -> [UInt8]? {
        var clean: [UInt8]?
        if let urlKeys, urlKeys.contains(key) { clean = urls.sanitize(value.array) }
        guard !databases.isEmpty, !Self.systemKeys.contains(where: { $0.bytes.isEqual(to: key) }) else {
            return clean
        }
        for database in databases where database.concerns(key: key.text) {
            // A list of attributes says enough where nothing tells the database.
            let isMeant = system.map { database.concerns(system: $0) } ?? !database.attributes.isEmpty
            guard isMeant else { continue }
            return database.sanitize(clean ?? value.array, of: system)
        }
        return clean
    }

    /// Takes ids and values out of a span's name.
    func sanitizeName(of span: MessageID, _ request: RequestEditor, _ table: AttributeTable) {
        guard namesOfURLs || namesOfStatements else { return }
        let name = request.content(span, Field.Span.name)
        guard name.count > 0 else { return }
        let kind = request.bits(span, Field.Span.kind)
        let (isInternal, isHTTP) = (kind == 1, kind == 2 || kind == 3)
        var clean: [UInt8]?
        if namesOfURLs, isHTTP, name.array.contains(UInt8(ascii: "/")) || isOfHTTP(request, table) {
            clean = urls.sanitize(name: name.array)
        }
        if namesOfStatements, isHTTP || isInternal, let system = system(of: table, request),
            let database = databases.first(where: { $0.concerns(system: system) })
        {
            clean = database.sanitize(clean ?? name.array, of: system)
        }
        guard let clean, clean != name.array else { return }
        request.setContent(span, Field.Span.name, request.keep(clean))
    }

    private func isOfHTTP(_ request: RequestEditor, _ table: AttributeTable) -> Bool {
        Self.httpKeys.contains { request.value($0.bytes, in: table) != nil }
    }
}
