package import OTLP

/// An `include` or `exclude` section for the items of one signal. Lists of names: one must match; of attributes, resources and
/// libraries each. Any thread.
package struct ItemMatcher: Sendable {
    private let signal: Signal
    private let services: TextMatcher?
    private let names: TextMatcher?
    private let kinds: TextMatcher?
    private let bodies: TextMatcher?
    private let severityTexts: TextMatcher?
    private let severityNumber: MatchConfig.SeverityNumber?
    private let attributes: AttributeMatcher
    private let resources: AttributeMatcher
    private let libraries: [(name: TextMatcher, version: TextMatcher?)]

    /// - Throws: what stands in the section is not valid for the signal.
    package init(_ config: MatchConfig, _ signal: Signal) throws(MatchError) {
        try config.check(for: signal)
        self.signal = signal
        func texts(_ list: [String], _ what: String) throws(MatchError) -> TextMatcher? {
            guard !list.isEmpty else { return nil }
            return try Self.naming(what) { () throws(MatchError) in
                try TextMatcher(MatchType(config.matchType), list)
            }
        }
        var libraries: [(name: TextMatcher, version: TextMatcher?)] = []
        for library in config.libraries {
            let name = try texts([library.name], "library name")
            let version = try library.version.map { (version) throws(MatchError) in
                try texts([version], "library version")
            }
            if let name { libraries.append((name, version ?? nil)) }
        }
        self.libraries = libraries
        attributes = try Self.naming("attribute") { () throws(MatchError) in
            try AttributeMatcher(
                config.attributes.isEmpty ? .strict : MatchType(config.matchType), config.attributes)
        }
        resources = try Self.naming("resource") { () throws(MatchError) in
            try AttributeMatcher(
                config.resources.isEmpty ? .strict : MatchType(config.matchType), config.resources)
        }
        services = try texts(config.services, "service name")
        names =
            signal == .metrics
            ? try texts(config.metricNames, "metric name") : try texts(config.spanNames, "span name")
        kinds = try texts(config.spanKinds, "span kind")
        bodies = try texts(config.logBodies, "log record body")
        severityTexts = try texts(config.logSeverityTexts, "log record severity text")
        severityNumber = config.logSeverityNumber
    }

    private static func naming<Result>(
        _ what: String, _ make: () throws(MatchError) -> Result
    ) throws(MatchError) -> Result {
        do throws(MatchError) { return try make() } catch {
            throw error.within("error creating \(what) filters")
        }
    }

    // MARK: - Matching

    /// What is asked of the resource.
    package func matches(resource: MessageID, of request: RequestEditor) -> Bool {
        let table = request.attributes(resource, Field.Resource.attributes)
        if let services {
            guard let value = request.value(Self.serviceName.bytes, in: table) else {
                return services.matches(Self.noServiceName.bytes) && resources.matches(request, table)
            }
            let isMatch: Bool
            if case .string(let text) = value {
                isMatch = services.matches(text)
            } else {
                let text = OwnedBytes(AttributeText(value).bytes)
                isMatch = withExtendedLifetime(text) { services.matches(text.bytes) }
            }
            guard isMatch else { return false }
        }
        return resources.matches(request, table)
    }

    /// What is asked of the scope.
    package func matches(scope: MessageID, of request: RequestEditor) -> Bool {
        for library in libraries {
            guard library.name.matches(request.content(scope, Field.Scope.name)) else { return false }
            if let version = library.version {
                guard version.matches(request.content(scope, Field.Scope.version)) else { return false }
            }
        }
        return true
    }

    /// What is asked of the span, metric or record itself.
    package func matches(item: MessageID, of request: RequestEditor) -> Bool {
        switch signal {
        case .traces:
            if let names, !names.matches(request.content(item, Field.Span.name)) { return false }
            if let kinds, !kinds.matches(Self.kindName(request.bits(item, Field.Span.kind))) { return false }
            return attributes.matches(request, request.attributes(item, Field.Span.attributes))
        case .metrics:
            return names?.matches(request.content(item, Field.Metric.name)) ?? true
        case .logs:
            // A body that is no text is not asked.
            if let bodies,
                case .string(let text) = AttributeValue(request.content(item, Field.LogRecord.body)),
                !bodies.matches(text)
            {
                return false
            }
            if let severityTexts,
                !severityTexts.matches(request.content(item, Field.LogRecord.severityText))
            {
                return false
            }
            if let severityNumber {
                let number = Int(truncatingIfNeeded: request.bits(item, Field.LogRecord.severityNumber))
                guard number == 0 ? severityNumber.matchesUndefined : number >= severityNumber.min else {
                    return false
                }
            }
            return attributes.matches(request, request.attributes(item, Field.LogRecord.attributes))
        }
    }

    private static let serviceName = OwnedBytes("service.name")
    private static let noServiceName = OwnedBytes("<nil-service-name>")
    private static let kindNames = [
        "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
    ].map { OwnedBytes($0) }

    private static func kindName(_ kind: UInt64) -> WireBytes {
        kind < UInt64(kindNames.count) ? kindNames[Int(kind)].bytes : .none
    }
}
