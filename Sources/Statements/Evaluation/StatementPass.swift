internal import OTLP

extension StatementGroup {
    /// Runs the statements on everything of the group's context in the request that the frame's editor has open.
    /// - Parameter report: told of errors on items that do not fail the request.
    /// - Throws: an error on an item, in a group whose errors propagate.
    package func run(on frame: Frame, report: (Failure) -> Void) throws(Failure) {
        try frame.forEach(context) { frame throws(Failure) in try run(frame, report) }
    }
}

extension Frame {
    /// Shows everything of a context in the open request, from the first to the last. Metrics and records that `body`
    /// appends to a scope are shown, too, as in the Collector.
    package func forEach<Failure: Error>(
        _ context: ContextKind, _ body: (Frame) throws(Failure) -> Void
    ) throws(Failure) {
        try editor.forEachResource { resource throws(Failure) in
            show(resource)
            if context == .resource {
                try body(self)
                return .keep
            }
            try editor.forEachScope(of: resource) { scope throws(Failure) in
                show(scope)
                if context == .scope {
                    try body(self)
                } else {
                    try forEachItem(scope, context, body)
                }
                return .keep
            }
            return .keep
        }
    }

    private func forEachItem<Failure: Error>(
        _ scope: ScopePlace, _ context: ContextKind, _ body: (Frame) throws(Failure) -> Void
    ) throws(Failure) {
        var position = 0
        while let item = editor.nextChild(
            scope.entry, Field.ScopeEntry.entries, from: &position, to: .max)
        {
            position += 1
            show(item: item)
            switch context {
            case .spanevent: try forEachPart(item, Field.Span.events, context, body)
            case .datapoint, .exemplar:
                if let data = metricData {
                    try forEachPart(data, Field.MetricData.dataPoints, context, body)
                    editor.close(data)
                }
            default: try body(self)
            }
            editor.close(item)
        }
    }

    private func forEachPart<Failure: Error>(
        _ parent: MessageID, _ number: UInt32, _ context: ContextKind, _ body: (Frame) throws(Failure) -> Void
    ) throws(Failure) {
        var index = 0
        try editor.forEachChild(parent, number) { part throws(Failure) in
            show(part: part, at: index)
            index += 1
            guard context == .exemplar else {
                try body(self)
                return .keep
            }
            guard let exemplars = metricType?.exemplars else { return .keep }
            try editor.forEachChild(part, exemplars) { exemplar throws(Failure) in
                show(exemplar: exemplar)
                try body(self)
                return .keep
            }
            return .keep
        }
    }
}
