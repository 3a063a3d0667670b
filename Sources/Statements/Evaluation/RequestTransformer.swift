package import OTLP

/// Runs groups of statements over one request, one whole pass a group.
package struct RequestTransformer {
    private let groups: [StatementGroup]
    private let signal: Signal

    package init(_ groups: [StatementGroup], signal: Signal) {
        (self.groups, self.signal) = (groups, signal)
    }

    /// The request's bytes after all groups; nil when nothing changed. Borrows the request for the call.
    /// `report` is told about errors on items that do not fail the request.
    /// - Throws: an error on an item in a group whose errors propagate; nothing is changed.
    package func transform(
        _ request: WireBytes, report: (StatementGroup.Failure) -> Void
    ) throws(StatementGroup.Failure) -> [UInt8]? {
        let root = Message(request)
        let frame = Frame()
        for group in groups {
            for resourceGroup in root.children(1) {
                frame.resourceGroup = resourceGroup
                try run(group, frame, report)
            }
        }
        return root.hasChanges ? root.bytes : nil
    }

    private func run(
        _ group: StatementGroup, _ frame: Frame, _ report: (StatementGroup.Failure) -> Void
    ) throws(StatementGroup.Failure) {
        if group.context == .resource { return try group.run(frame, report) }
        for scopeGroup in frame.resourceGroup.children(2) {
            frame.scopeGroup = scopeGroup
            if group.context == .scope {
                try group.run(frame, report)
                continue
            }
            for item in scopeGroup.children(2) {
                frame.item = item
                try runItem(group, frame, report)
            }
        }
    }

    private func runItem(
        _ group: StatementGroup, _ frame: Frame, _ report: (StatementGroup.Failure) -> Void
    ) throws(StatementGroup.Failure) {
        let parts: [Message]
        switch group.context {
        case .spanevent: parts = frame.item.children(11)
        case .datapoint, .exemplar: parts = frame.item.metricData?.children(1) ?? []
        default: return try group.run(frame, report)
        }
        for (index, part) in parts.enumerated() {
            frame.part = part
            frame.index = index
            guard group.context == .exemplar else {
                try group.run(frame, report)
                continue
            }
            guard let number = MetricType(frame.item)?.exemplars else { continue }
            for exemplar in part.children(number) {
                frame.exemplar = exemplar
                try group.run(frame, report)
            }
        }
    }
}
