internal import NIOCore
internal import OTLP
internal import Pipeline

/// A batch as text: what is common to the signals.
///
/// Reads the wire form in place. Of bytes that `summarize` would refuse, it shows what can be read.
enum BatchText {
    /// The names of a signal's envelopes.
    private struct Names {
        let resource: String
        let scope: String
    }

    /// The counts of a batch, under the Collector's names.
    static func summary(of batch: Batch) -> (title: String, counts: [(name: String, count: Int)]) {
        var resources = 0
        var metrics = 0
        forEachResource(of: batch) { _, resource in
            resources += 1
            guard batch.signal == .metrics else { return }
            for scope in resource.fields where scope.number == Field.ResourceEntry.scopes {
                for entry in scope.bytes.fields where entry.number == Field.ScopeEntry.entries {
                    metrics += 1
                }
            }
        }
        switch batch.signal {
        case .traces: return ("Traces", [("resource spans", resources), ("spans", batch.items)])
        case .metrics:
            let counts = [
                ("resource metrics", resources), ("metrics", metrics), ("data points", batch.items),
            ]
            return ("Metrics", counts)
        case .logs: return ("Logs", [("resource logs", resources), ("log records", batch.items)])
        }
    }

    /// Writes everything there is in a batch, or with less detail about a line an item.
    static func write(_ batch: Batch, detailed: Bool, to writer: inout TextWriter) {
        let names = names(batch.signal, detailed: detailed)
        forEachResource(of: batch) { index, resource in
            if detailed {
                writer.detailedResource(resource, "\(names.resource) #\(index)")
            } else {
                writer.normalResource(resource, "\(names.resource) #\(index)")
            }
            var scopeIndex = 0
            for field in resource.fields where field.number == Field.ResourceEntry.scopes {
                if detailed {
                    writer.detailedScope(field.bytes, names.scope, scopeIndex)
                } else {
                    writer.normalScope(field.bytes, "\(names.scope) #\(scopeIndex)")
                }
                scopeIndex += 1
                writeEntries(of: field.bytes, batch.signal, detailed, to: &writer)
            }
        }
    }

    private static func writeEntries(
        of scope: WireBytes, _ signal: Signal, _ detailed: Bool, to writer: inout TextWriter
    ) {
        var index = 0
        for field in scope.fields where field.number == Field.ScopeEntry.entries {
            switch (signal, detailed) {
            case (.traces, true): writer.detailedSpan(field.bytes, index)
            case (.traces, false): writer.normalSpan(field.bytes)
            case (.metrics, true): writer.detailedMetric(field.bytes, index)
            case (.metrics, false): writer.normalMetric(field.bytes)
            case (.logs, true): writer.detailedLogRecord(field.bytes, index)
            case (.logs, false): writer.normalLogRecord(field.bytes)
            }
            index += 1
        }
    }

    private static func names(_ signal: Signal, detailed: Bool) -> Names {
        switch (signal, detailed) {
        case (.traces, true): Names(resource: "ResourceSpans", scope: "ScopeSpans")
        case (.traces, false): Names(resource: "ResourceTraces", scope: "ScopeTraces")
        case (.metrics, _): Names(resource: "ResourceMetrics", scope: "ScopeMetrics")
        case (.logs, true): Names(resource: "ResourceLog", scope: "ScopeLogs")
        case (.logs, false): Names(resource: "ResourceLog", scope: "ScopeLog")
        }
    }

    /// Every slice holds whole `resource_*` entries; they are numbered through the batch.
    private static func forEachResource(of batch: Batch, _ body: (Int, WireBytes) -> Void) {
        var index = 0
        for slice in batch.slices {
            unsafe slice.bytes.withUnsafeReadableBytes { bytes in
                // SAFETY: nothing that is read from `request` outlives this closure.
                let request = unsafe WireBytes(bytes)
                for field in request.fields where field.number == Field.Request.resources {
                    body(index, field.bytes)
                    index += 1
                }
            }
        }
    }
}

// MARK: - Envelopes

extension WireBytes {
    /// The last field of this number; nil when there is none.
    func last(_ number: UInt32) -> WireField? {
        var last: WireField?
        for field in fields where field.number == number { last = field }
        return last
    }

    /// The content of the last text, bytes or message field of this number; no bytes when there is none.
    func content(_ number: UInt32) -> WireBytes { last(number)?.bytes ?? .none }
}

extension TextWriter {
    mutating func normalResource(_ entry: WireBytes, _ title: String) {
        put(title)
        let schemaURL = entry.content(Field.ResourceEntry.schemaURL)
        if schemaURL.count > 0 {
            put(" [")
            text(schemaURL)
            put("]")
        }
        attributePairs(entry.content(Field.ResourceEntry.resource), Field.Resource.attributes)
        endLine()
    }

    mutating func normalScope(_ entry: WireBytes, _ title: String) {
        put(title)
        let scope = entry.content(Field.ScopeEntry.scope)
        let name = scope.content(Field.Scope.name)
        let version = scope.content(Field.Scope.version)
        let schemaURL = entry.content(Field.ScopeEntry.schemaURL)
        if name.count > 0 || version.count > 0 { put(" ") }
        text(name)
        if version.count > 0 {
            put("@")
            text(version)
        }
        if schemaURL.count > 0 {
            put(" [")
            text(schemaURL)
            put("]")
        }
        attributePairs(scope, Field.Scope.attributes)
        endLine()
    }

    mutating func detailedResource(_ entry: WireBytes, _ title: String) {
        line(title)
        line("Resource SchemaURL: ", entry.content(Field.ResourceEntry.schemaURL))
        let resource = entry.content(Field.ResourceEntry.resource)
        attributeLines("Resource attributes", resource, Field.Resource.attributes)
        entityRefs(resource)
    }

    /// `EntityRef`: schema URL 1, type 2, ID keys 3, description keys 4.
    private mutating func entityRefs(_ resource: WireBytes) {
        var index = 0
        for field in resource.fields where field.number == Field.Resource.entityRefs {
            if index == 0 { line("Resource entity refs:") }
            line("     -> Entity ref #\(index):")
            index += 1
            line("          -> Type: ", field.bytes.content(2))
            let schemaURL = field.bytes.content(1)
            if schemaURL.count > 0 { line("          -> Schema URL: ", schemaURL) }
            for (number, title) in [(UInt32(3), "ID keys"), (4, "Description keys")] {
                var isFirst = true
                for key in field.bytes.fields where key.number == number {
                    if isFirst { line("          -> \(title):") }
                    isFirst = false
                    line("               -> ", key.bytes)
                }
            }
        }
    }

    mutating func detailedScope(_ entry: WireBytes, _ name: String, _ index: Int) {
        line("\(name) #\(index)")
        line("\(name) SchemaURL: ", entry.content(Field.ScopeEntry.schemaURL))
        let scope = entry.content(Field.ScopeEntry.scope)
        put("InstrumentationScope ")
        text(scope.content(Field.Scope.name))
        line(" ", scope.content(Field.Scope.version))
        attributeLines("InstrumentationScope attributes", scope, Field.Scope.attributes)
    }
}
