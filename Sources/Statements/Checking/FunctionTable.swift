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
        case .span, .spanevent: functions += [SpanFunctions.converters, SpanNameEditor.all]
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
        case .span, .spanevent: functions.append(SpanFunctions.converters)
        case .metric: functions.append(MetricConverters.all)
        default: break
        }
        return FunctionTable(functions)
    }
}
