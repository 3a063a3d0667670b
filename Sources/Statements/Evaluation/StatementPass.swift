internal import OTLP

extension StatementGroup {
    /// Runs the statements on everything of the group's context in the request that the frame's editor has open.
    /// - Parameter report: told of errors on items that do not fail the request.
    /// - Throws: an error on an item, in a group whose errors propagate.
    package func run(on frame: Frame, report: (Failure) -> Void) throws(Failure) {
        let editor = frame.editor
        try editor.forEachResource { resource throws(Failure) in
            frame.show(resource)
            if context == .resource {
                try run(frame, report)
                return .keep
            }
            try editor.forEachScope(of: resource) { scope throws(Failure) in
                frame.show(scope)
                if context == .scope {
                    try run(frame, report)
                } else {
                    try runItems(scope, frame, report)
                }
                return .keep
            }
            return .keep
        }
    }

    /// Also the metrics that statements append meanwhile, as the Collector.
    private func runItems(_ scope: ScopePlace, _ frame: Frame, _ report: (Failure) -> Void) throws(Failure) {
        let editor = frame.editor
        var position = 0
        while position < editor.fieldCount(scope.entry) {
            defer { position += 1 }
            guard editor.number(scope.entry, at: position) == Field.ScopeEntry.entries else { continue }
            let item = editor.child(scope.entry, at: position)
            frame.show(item: item)
            switch context {
            case .spanevent: try runParts(item, Field.Span.events, frame, report)
            case .datapoint, .exemplar:
                if let data = frame.metricData {
                    try runParts(data, Field.MetricData.dataPoints, frame, report)
                    editor.close(data)
                }
            default: try run(frame, report)
            }
            editor.close(item)
        }
    }

    private func runParts(
        _ parent: MessageID, _ number: UInt32, _ frame: Frame, _ report: (Failure) -> Void
    ) throws(Failure) {
        let editor = frame.editor
        var index = 0
        try editor.forEachChild(parent, number) { part throws(Failure) in
            frame.show(part: part, at: index)
            index += 1
            guard context == .exemplar else {
                try run(frame, report)
                return .keep
            }
            guard let exemplars = frame.metricType?.exemplars else { return .keep }
            try editor.forEachChild(part, exemplars) { exemplar throws(Failure) in
                frame.show(exemplar: exemplar)
                try run(frame, report)
                return .keep
            }
            return .keep
        }
    }
}
