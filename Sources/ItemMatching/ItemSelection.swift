package import OTLP

/// The items that a component treats: those that `include` matches, but for those that `exclude` matches. Any thread.
package struct ItemSelection: Sendable {
    private let include: ItemMatcher?
    private let exclude: ItemMatcher?

    /// - Throws: a section is not valid for the signal.
    package init(_ config: SelectionConfig, _ signal: Signal) throws(MatchError) {
        include = try config.include.map { (config) throws(MatchError) in try ItemMatcher(config, signal) }
        exclude = try config.exclude.map { (config) throws(MatchError) in try ItemMatcher(config, signal) }
    }

    /// Shows each selected span, metric or record. What is asked of a resource or a scope is asked once.
    package func forEachItem(of request: RequestEditor, _ body: (ItemPlace) -> Void) {
        request.forEachResource { resource in
            let isIncluded = include?.matches(resource: resource.resource, of: request) ?? true
            guard isIncluded else { return .keep }
            let mayBeExcluded = exclude?.matches(resource: resource.resource, of: request) ?? false
            request.forEachScope(of: resource) { scope in
                guard include?.matches(scope: scope.scope, of: request) ?? true else { return .keep }
                let asksExclude =
                    mayBeExcluded && (exclude?.matches(scope: scope.scope, of: request) ?? false)
                request.forEachItem(of: scope) { item in
                    if let include, !include.matches(item: item.item, of: request) { return .keep }
                    if asksExclude, let exclude, exclude.matches(item: item.item, of: request) {
                        return .keep
                    }
                    body(item)
                    return .keep
                }
                return .keep
            }
            return .keep
        }
    }
}
