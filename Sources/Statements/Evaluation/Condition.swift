package import OTLP

/// A condition on items of one context: `attributes["x"] == 1 and IsMatch(name, "^/")`. Parsed and checked once,
/// immutable; any thread evaluates it with a frame of its own.
///
///     let condition = try Condition("span.name == \"x\"", for: .span)
///     let frame = Frame(editor)
///     frame.show(place.scope); frame.show(item: place.item)
///     try condition.holds(frame)
package final class Condition: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything is constant once made.

    /// As written.
    package let text: String
    /// What it is evaluated on.
    package let context: ContextKind
    let predicate: Predicate

    /// A condition for a known context: paths without a context belong to it.
    /// - Parameter measures: knows the functions of `signal_to_metrics`, too.
    /// - Throws: what is wrong, with its place in the text.
    package init(_ text: String, for context: ContextKind, measures: Bool = false) throws(StatementError) {
        let node = try Parser.condition(text)
        do throws(StatementError) {
            predicate = try Checker(
                context: context, functions: measures ? .measuring(context) : .conditions(context),
                addsContext: true
            ).condition(node)
        } catch {
            throw error.inside(text)
        }
        self.text = text
        self.context = context
    }

    /// A condition whose context is the narrowest that its paths name, of those of a signal.
    /// - Throws: what is wrong, with its place in the text.
    package init(_ text: String, in signal: Signal) throws(StatementError) {
        let node = try Parser.condition(text)
        var inference = Inference()
        inference.add(node)
        do throws(Inference.Failure) {
            context = try inference.context(
                among: ContextKind.of(signal), functions: FunctionTable.conditions)
        } catch {
            throw error.error.inside(text)
        }
        do throws(StatementError) {
            predicate = try Checker(
                context: context, functions: .conditions(context), addsContext: false
            ).condition(node)
        } catch {
            throw error.inside(text)
        }
        self.text = text
    }

    /// Whether it holds for what the frame shows: the message of its context and those around that.
    /// - Throws: why it cannot be said, for example an index out of bounds.
    package func holds(_ frame: Frame) throws(EvaluationError) -> Bool {
        try predicate.holds(frame)
    }
}

extension Frame {
    /// Opens one item without its request: the resource, the scope and a span, metric or log record as messages. For items
    /// that are kept apart from the request in which they came. Copies the bytes into the editor's memory.
    package static func show(
        item: WireBytes, scope: WireBytes, resource: WireBytes, with editor: RequestEditor
    ) -> Frame {
        editor.open(.none)
        let frame = Frame(editor, itemBytes: item.count + scope.count + resource.count)
        let resourceEntry = editor.appendChild(editor.root, Field.Request.resources)
        editor.append(resourceEntry, Field.ResourceEntry.resource, resource)
        let scopeEntry = editor.appendChild(resourceEntry, Field.ResourceEntry.scopes)
        editor.append(scopeEntry, Field.ScopeEntry.scope, scope)
        editor.append(scopeEntry, Field.ScopeEntry.entries, item)
        let place = ResourcePlace(
            entry: resourceEntry, resource: editor.child(resourceEntry, Field.ResourceEntry.resource))
        frame.show(
            ScopePlace(
                resource: place, entry: scopeEntry, scope: editor.child(scopeEntry, Field.ScopeEntry.scope)))
        frame.show(item: editor.child(scopeEntry, Field.ScopeEntry.entries))
        return frame
    }
}
