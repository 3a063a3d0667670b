internal import OTLP
internal import Pipeline
internal import Statements

/// Finds out which parts of a request go which way. One thread at a time; kept between requests for its memory.
///
/// The parts are spans, log records or data points (and metrics without any), in the order in which a walk meets them.
final class RouteTable {
    /// What a row tests, and where what matches goes.
    struct Row {
        let test: RoutingConfig.Row.Test
        let destination: Int
        let copies: Bool
        /// Made to what the destination gets.
        let change: StatementGroup?
    }

    private let rows: [Row]
    /// For each destination, with the numbers of their rows.
    private let changes: [[(row: Int, group: StatementGroup)]]
    private let defaultDestination: Int?
    private let destinations: Int
    private let signal: Signal
    private let errorMode: StatementGroup.ErrorMode
    /// Told of errors that do not refuse the request, with the number of the row.
    private let report: (Int, EvaluationError) -> Void
    private let charged: ChargedEditor
    private var editor: RequestEditor { charged.editor }
    private var client = ClientFacts()
    /// Whether a part has not been moved.
    private var isLeft: [Bool] = []
    /// For each destination, which parts go there.
    private var goes: [[Bool]]

    init(
        _ rows: [Row], defaultDestination: Int?, destinations: Int, signal: Signal, ledger: MemoryLedger,
        errorMode: StatementGroup.ErrorMode, report: @escaping (Int, EvaluationError) -> Void
    ) {
        self.rows = rows
        changes = (0..<destinations).map { destination in
            rows.enumerated().compactMap { index, row in
                row.destination == destination ? row.change.map { (index, $0) } : nil
            }
        }
        charged = ChargedEditor(ledger: ledger)
        self.defaultDestination = defaultDestination
        self.destinations = destinations
        self.signal = signal
        (self.errorMode, self.report) = (errorMode, report)
        goes = Array(repeating: [], count: destinations)
    }

    /// How much of a request a destination gets.
    enum Share: Equatable {
        case none
        case all
        case some
    }

    /// Decides for each part of a request. Borrows its bytes until the last `write`.
    /// - Throws: a condition failed with `error_mode: propagate`.
    func route(_ request: WireBytes, _ metadata: ClientMetadata?) throws(EvaluationError) -> [Share] {
        editor.open(request)
        let frame = Frame(editor)
        client = ClientFacts(fields: metadata?.fields.map { ($0.name, $0.value) } ?? [])
        frame.client = client
        var parts = 0
        walk { kind, _ in if kind == .span { parts += 1 } }
        isLeft = Array(repeating: true, count: parts)
        for index in goes.indices { goes[index] = Array(repeating: false, count: parts) }
        for (index, row) in rows.enumerated() {
            switch row.test {
            case .always: takeAll(row)
            case .request(let condition): if condition.holds(for: metadata) { takeAll(row) }
            case .condition(let condition): try take(index, condition, frame)
            }
        }
        if let defaultDestination {
            for part in isLeft.indices where isLeft[part] { goes[defaultDestination][part] = true }
        }
        return zip(goes, changes).map { taken, changes in
            guard taken.contains(true) else { return taken.isEmpty ? .all : .none }
            return taken.contains(false) || !changes.isEmpty ? .some : .all
        }
    }

    /// Parts of the last request that go nowhere.
    var lost: Int {
        isLeft.indices.count { part in !goes.contains { $0[part] } }
    }

    /// Why there is not enough memory for the last request: what was found, or is open, is not whole.
    var refusal: Refusal? { charged.refusal }

    /// Gives up the last request.
    func close() { charged.close() }

    /// The destination's part of the last request, open in the editor: to be written at once.
    /// - Throws: a change failed with `error_mode: propagate`.
    func open(_ destination: Int, of request: WireBytes) throws(EvaluationError) -> RequestEditor {
        editor.open(request)
        removeAll(but: destination)
        if !changes[destination].isEmpty {
            let frame = Frame(editor)
            frame.client = client
            for (row, change) in changes[destination] {
                do throws(StatementGroup.Failure) {
                    try change.run(on: frame) { report(row, $0.error) }
                } catch {
                    throw error.error
                }
            }
        }
        return editor
    }

    private func removeAll(but destination: Int) {
        var part = 0
        let taken = goes[destination]
        editor.forEachResource { resource in
            editor.forEachScope(of: resource) { scope in
                editor.forEachItem(of: scope) { place in
                    guard signal == .metrics else {
                        defer { part += 1 }
                        return taken[part] ? .keep : .remove
                    }
                    return keepPoints(of: place.item, &part, taken)
                }
                return editor.count(scope.entry, Field.ScopeEntry.entries) == 0 ? .remove : .keep
            }
            return editor.count(resource.entry, Field.ResourceEntry.scopes) == 0 ? .remove : .keep
        }
    }

    private func keepPoints(of metric: MessageID, _ part: inout Int, _ taken: [Bool]) -> Keep {
        var points = 0
        var kept = 0
        editor.forEachPoint(metric) { _ in
            defer { part += 1 }
            points += 1
            guard taken[part] else { return .remove }
            kept += 1
            return .keep
        }
        if points == 0 {
            defer { part += 1 }
            return taken[part] ? .keep : .remove
        }
        return kept > 0 ? .keep : .remove
    }

    private func takeAll(_ row: Row) {
        for part in isLeft.indices where isLeft[part] { take(part, row) }
    }

    private func take(_ part: Int, _ row: Row) {
        goes[row.destination][part] = true
        if !row.copies { isLeft[part] = false }
    }

    /// Asks a condition of everything of its context of which something is left.
    private func take(_ index: Int, _ condition: Condition, _ frame: Frame) throws(EvaluationError) {
        let row = rows[index]
        var part = 0
        var failure: EvaluationError?
        func holds() -> Bool {
            guard failure == nil else { return false }
            do throws(EvaluationError) {
                return try condition.holds(frame)
            } catch {
                if errorMode == .propagate { failure = error } else { report(index, error) }
                return false
            }
        }
        // What a resource or metric was found to be holds for all parts in it; asked at the first that is left.
        var found: Bool?
        let level = condition.context
        walk { kind, show in
            if kind == .resource || kind == .metric {
                show(frame)
                if kind == level { found = nil }
                return
            }
            defer { part += 1 }
            guard isLeft[part] else { return }
            if level == .resource || level == .metric {
                let isTaken = found ?? holds()
                found = isTaken
                if isTaken { take(part, row) }
                return
            }
            show(frame)
            if holds() { take(part, row) }
        }
        if let failure { throw failure }
    }

    /// Shows resources, metrics and parts; a part is told as `.span`, whatever it is.
    private func walk(_ body: (ContextKind, _ show: (Frame) -> Void) -> Void) {
        editor.forEachResource { resource in
            body(.resource) { $0.show(resource) }
            editor.forEachScope(of: resource) { scope in
                editor.forEachItem(of: scope) { place in
                    func show(_ frame: Frame) {
                        frame.show(scope)
                        frame.show(item: place.item)
                    }
                    guard signal == .metrics else {
                        body(.span, show)
                        return .keep
                    }
                    body(.metric, show)
                    var points = 0
                    editor.forEachPoint(place.item) { point in
                        let index = points
                        body(.span) { $0.show(part: point.point, at: index) }
                        points += 1
                        return .keep
                    }
                    if points == 0 { body(.span) { _ in } }
                    return .keep
                }
                return .keep
            }
            return .keep
        }
    }
}
