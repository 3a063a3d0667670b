/// The editors and converters that statements of one context may call.
struct FunctionTable {
    private var byName: [String: Function] = [:]

    init(_ functions: [[Function]]) {
        for function in functions.joined() { byName[function.name] = function }
    }

    subscript(name: String) -> Function? { byName[name] }

    var names: some Sequence<String> { byName.keys }

    /// Of the `transform` processor.
    static func transform(_ context: ContextKind) -> FunctionTable {
        var functions = [Editors.all, Converters.all]
        switch context {
        case .span: functions += [SpanFunctions.converters, SpanNameEditor.all]
        case .metric: functions.append(MetricEditors.all)
        case .log: functions.append(LogEditors.all)
        default: break
        }
        return FunctionTable(functions)
    }

    /// Of conditions: `filter`, `routing`, `tail_sampling`.
    static func conditions(_ context: ContextKind) -> FunctionTable {
        var functions = [Converters.all]
        switch context {
        case .span: functions.append(SpanFunctions.converters)
        case .metric: functions.append(MetricConverters.all)
        default: break
        }
        return FunctionTable(functions)
    }

    /// Of conditions and values of `signal_to_metrics`.
    static func measuring(_ context: ContextKind) -> FunctionTable {
        var table = conditions(context)
        if context == .span {
            for function in SpanFunctions.measuring { table.byName[function.name] = function }
        }
        return table
    }
}
