internal import OTLP
package import Pipeline
internal import Statements

extension TransformConfig: ComponentConfig {}

extension ComponentType {
    /// `transform`.
    package static let transform = processor("transform", stability: .beta, TransformConfig.self) {
        EditingProcessor(TransformProcessor($0, $1), $1, next: $2)
    }
}

/// Runs statements on requests: `transform`. Any thread.
final class TransformProcessor: RequestTransform {
    private let groups: [StatementGroup]
    /// Of the statements, then the conditions, of all groups.
    private let errors: StatementErrors
    /// Where the texts of a group begin.
    private let first: [Int]
    private let usesClient: Bool
    let changesItems: Bool
    let largeBytes: Int

    init(_ config: TransformConfig, _ context: ComponentContext) {
        groups = config.groups[context.signal] ?? []
        var first: [Int] = []
        var texts: [String] = []
        for group in groups {
            first.append(texts.count)
            texts += group.statementTexts + group.conditionTexts
        }
        self.first = first
        errors = StatementErrors(texts, context)
        usesClient = texts.contains { $0.contains("otelcol") }
        largeBytes = StatementGroup.largeBytes(texts)
        changesItems = context.signal == .metrics || texts.contains { $0.contains("unroll") }
    }

    func apply(to request: RequestEditor, _ context: EditContext) throws(Refusal) {
        let frame = Frame(request)
        if usesClient {
            frame.client = ClientFacts(
                address: context.client?.host,
                fields: context.metadata?.fields.map { ($0.name, $0.value) } ?? [])
        }
        for (index, group) in groups.enumerated() {
            do throws(StatementGroup.Failure) {
                try group.run(on: frame) { record($0, group, index) }
            } catch {
                record(error, group, index)
                let (message, text) = words(error.place, group)
                throw Refusal(
                    .unavailable, "\(message): \(text), \(error.error.description)", retryAfterSeconds: nil)
            }
        }
    }

    private func words(_ place: StatementGroup.Place, _ group: StatementGroup) -> (String, String) {
        switch place {
        case .statement(let index): ("failed to execute statement", group.statementTexts[index])
        case .condition(let index): ("failed to eval condition", group.conditionTexts[index])
        }
    }

    private func record(_ failure: StatementGroup.Failure, _ group: StatementGroup, _ index: Int) {
        let offset: Int
        switch failure.place {
        case .statement(let statement): offset = statement
        case .condition(let condition): offset = group.statementTexts.count + condition
        }
        errors.record(
            first[index] + offset, failure.error.description,
            message: group.errorMode == .ignore ? words(failure.place, group).0 : nil)
    }
}
