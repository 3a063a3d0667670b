internal import OTLP

// Labels are kept for every series, and each takes a name and a place on every line of a page. Who sends thousands is
// mistaken, and one such series would cost what thousands of others cost.

extension SeriesStore {
    /// Attributes that a point may have, and a resource, and a scope. Points beyond are refused.
    static let attributesMax = 256

    /// Whether there are more than may be; stops counting there.
    static func hasTooMany(_ message: WireBytes, _ number: UInt32) -> Bool {
        var left = attributesMax
        for field in message.fields where field.number == number {
            if left == 0 { return true }
            left -= 1
        }
        return false
    }

    /// Whether the resource or the scope has too many.
    static func hasTooMany(_ scope: Scope) -> Bool {
        for field in scope.resource.fields where field.number == Field.ResourceEntry.resource {
            if hasTooMany(field.bytes, Field.Resource.attributes) { return true }
        }
        for field in scope.scope.fields where field.number == Field.ScopeEntry.scope {
            if hasTooMany(field.bytes, Field.Scope.attributes) { return true }
        }
        return false
    }

    /// Makes the context of points that are read, if it is not there; false when it has too many attributes.
    func hasContext(_ scope: inout Scope) -> Bool {
        guard scope.context == nil else { return true }
        let hasTooMany = scope.hasTooManyAttributes ?? Self.hasTooMany(scope)
        scope.hasTooManyAttributes = hasTooMany
        if !hasTooMany { scope.context = makeContext(scope) }
        return !hasTooMany
    }
}
