internal import OTLP

/// Resolves paths: which field of which message, or an error that names what exists.
enum Paths {
    /// A path without what indexes it.
    struct Found {
        let path: PathExpression
        /// How many segments were used.
        var segments = 1
        var isIndexable = false
    }

    static func resolve(
        _ node: PathNode, contextName: String, _ checker: Checker
    ) throws(StatementError) -> PathExpression {
        let names = node.fields.map(\.name)
        let shown = node.shown
        let context = ContextKind.named(contextName) ?? checker.context
        if names[0] == "cache", context != checker.context {
            throw StatementError(
                "access to cache must be performed using the same context, please replace \"\(shown)\" with "
                    + "\"\(checker.context.rawValue)\(shown.drop { $0 != "." })\"", at: node.start)
        }
        let isClient = contextName == "otelcol"
        guard let found = isClient ? ClientPaths.find(names, shown) : find(names, shown, context) else {
            throw StatementError(
                "segment \"\(names[0])\" from path \"\(shown)\" is not a valid path nor a valid OTTL keyword for the "
                    + "\(isClient ? contextName : context.rawValue) context", at: node.fields[0].start,
                help: suggestion(
                    for: names[0], among: isClient ? ["client", "grpc"] : self.names(of: context)))
        }
        if found.segments < names.count {
            let extra = node.fields[found.segments]
            throw StatementError(
                "the path section \"\(extra.name)\" was not used by the context - this likely means you are using "
                    + "extra path sections", at: extra.start,
                help: "keys stand in brackets: \(names[found.segments - 1])[\"\(extra.name)\"]")
        }
        for (index, field) in node.fields.enumerated() where !field.keys.isEmpty {
            guard index == node.fields.count - 1, found.isIndexable else {
                throw StatementError(
                    "the keys indexing \"\(field.name)\" were not used by the context - this likely means you are "
                        + "trying to index a path that does not support indexing", at: field.keys[0].start)
            }
        }
        let keys = try checker.keys(node.fields.last?.keys ?? [])
        guard !keys.isEmpty else { return found.path }
        if names[0] == "trace_state" { return try TraceState.path(keys, shown, node) }
        if let attributes = found.path as? AttributesPath, keys.count == 1, case .string(let key) = keys[0] {
            return AttributePath(attributes, key, shown: shown)
        }
        return IndexedPath(found.path, keys, shown: shown)
    }

    /// The paths of one context, for suggestions.
    private static func names(of context: ContextKind) -> [String] {
        let common = ["attributes", "cache", "dropped_attributes_count"]
        return switch context {
        case .resource: common + ["schema_url"]
        case .scope: common + ["schema_url", "name", "version"]
        case .span:
            common + [
                "trace_id", "span_id", "parent_span_id", "trace_state", "name", "kind",
                "start_time_unix_nano",
                "end_time_unix_nano", "start_time", "end_time", "events", "dropped_events_count", "links",
                "dropped_links_count", "status", "flags",
            ]
        case .spanevent: common + ["time_unix_nano", "time", "name", "event_index"]
        case .metric:
            [
                "name", "description", "unit", "type", "aggregation_temporality", "is_monotonic",
                "data_points",
                "metadata", "cache",
            ]
        case .datapoint:
            [
                "attributes", "cache", "start_time_unix_nano", "time_unix_nano", "start_time", "time",
                "value_double",
                "value_int", "exemplars", "flags", "count", "sum", "bucket_counts", "explicit_bounds",
                "scale",
                "zero_count", "positive", "negative", "quantile_values",
            ]
        case .exemplar:
            [
                "time_unix_nano", "time", "double_value", "int_value", "trace_id", "span_id",
                "filtered_attributes", "cache",
            ]
        case .log:
            common + [
                "time_unix_nano", "observed_time_unix_nano", "time", "observed_time", "severity_number",
                "severity_text", "body", "flags", "trace_id", "span_id", "event_name",
            ]
        }
    }

    private static func find(_ names: [String], _ shown: String, _ context: ContextKind) -> Found? {
        if names[0] == "cache" { return Found(path: CachePath(shown), isIndexable: true) }
        switch context {
        case .resource: return resource(names, shown)
        case .scope: return scope(names, shown)
        case .span: return SpanPaths.find(names, shown)
        case .spanevent: return SpanPaths.event(names, shown)
        case .metric: return MetricPaths.find(names, shown)
        case .datapoint: return PointPaths.find(names, shown)
        case .exemplar: return PointPaths.exemplar(names, shown)
        case .log: return LogPaths.find(names, shown)
        }
    }

    static func attributes(_ shown: String, _ level: Level, _ number: UInt32) -> Found {
        Found(path: AttributesPath(shown, level, number: number), isIndexable: true)
    }

    static func identifier(
        _ names: [String], _ shown: String, _ level: Level, _ number: UInt32, count: Int
    ) -> Found {
        names.count > 1 && names[1] == "string"
            ? Found(path: Fields.hexText(shown, level, number, count: count), segments: 2)
            : Found(path: Fields.identifier(shown, level, number, count: count))
    }

    private static func resource(_ names: [String], _ shown: String) -> Found? {
        switch names[0] {
        case "attributes": attributes(shown, .resource, 1)
        case "dropped_attributes_count": Found(path: Fields.int(shown, .resource, 2, .varint, .uint32))
        case "schema_url": Found(path: Fields.text(shown, .resourceGroup, 3))
        default: nil
        }
    }

    private static func scope(_ names: [String], _ shown: String) -> Found? {
        switch names[0] {
        case "name": Found(path: Fields.text(shown, .scope, 1))
        case "version": Found(path: Fields.text(shown, .scope, 2))
        case "attributes": attributes(shown, .scope, 3)
        case "dropped_attributes_count": Found(path: Fields.int(shown, .scope, 4, .varint, .uint32))
        case "schema_url": Found(path: Fields.text(shown, .scopeGroup, 3))
        default: nil
        }
    }
}
