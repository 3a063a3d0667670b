package import Configuration
package import ItemMatching
package import OTLP
package import Pipeline
internal import RegularExpression

/// The keys of `span`.
package struct SpanConfig: ComponentConfig {
    /// `name::to_attributes`.
    package struct ToAttributes: Sendable, Equatable {
        /// Regular expressions whose groups become attributes. Key `rules`.
        package var rules: [String]
        /// Whether the first rule that matches is the last one. Default false. Key `break_after_match`.
        package var breaksAfterMatch: Bool
        /// Whether the name stays as it is. Default false. Key `keep_original_name`.
        package var keepsName: Bool
    }

    /// `status`.
    package struct Status: Sendable, Equatable {
        /// The status, as the protocol numbers them.
        package enum Code: String, Sendable, CaseIterable {
            case unset = "Unset"
            case ok = "Ok"
            case error = "Error"

            var number: UInt64 {
                switch self {
                case .unset: 0
                case .ok: 1
                case .error: 2
                }
            }
        }

        package var code: Code
        package var description: String
    }

    /// Keys whose values make the name. Key `name::from_attributes`.
    package var fromAttributes: [String] = []
    /// Between those values. Default nothing. Key `name::separator`.
    package var separator = ""
    package var toAttributes: ToAttributes?
    package var status: Status?
    /// Keys `include` and `exclude`.
    package var selection = SelectionConfig()

    package init(_ section: ConfigSection) {
        if let name = section.section("name") {
            fromAttributes = name.stringList("from_attributes")
            separator = name.string("separator", default: "")
            toAttributes = Self.toAttributes(name.section("to_attributes"))
        }
        status = Self.status(section)
        selection = SelectionConfig(section)
        if fromAttributes.isEmpty, toAttributes == nil, !section.has("status") {
            section.report(
                nil,
                error: "error creating \"span\" processor: either \"from_attributes\" or \"to_attributes\" "
                    + "must be specified in \"name:\" or \"setStatus\" must be specified")
        }
        section.finish()
    }

    /// Nil without rules.
    private static func toAttributes(_ section: ConfigSection?) -> ToAttributes? {
        guard let section else { return nil }
        let rules = section.stringList("rules")
        let result = ToAttributes(
            rules: rules, breaksAfterMatch: section.bool("break_after_match", default: false),
            keepsName: section.bool("keep_original_name", default: false))
        for rule in rules {
            do throws(MatchError) { _ = try RegularExpression.goPattern(rule) } catch {
                section.report("rules", error: "invalid regexp pattern \(rule): \(error)")
            }
        }
        return rules.isEmpty ? nil : result
    }

    private static func status(_ section: ConfigSection) -> Status? {
        guard let status = section.section("status") else { return nil }
        let word = status.optionalString("code") ?? ""
        let description = status.string("description", default: "")
        guard let code = Status.Code(rawValue: word) else {
            if !status.isBroken("code") {
                status.report(
                    status.has("code") ? "code" : nil,
                    error: "error creating \"span\" processor: \"status\" must have specified \"code\" as "
                        + "\"Ok\" or \"Error\" or \"Unset\"")
            }
            return nil
        }
        if code != .error, !description.isEmpty {
            status.report(
                "description",
                error: "error creating \"span\" processor: \"description\" can be specified only for "
                    + "\"code\" \"Error\"")
        }
        return Status(code: code, description: description)
    }

    package func check(usedFor signals: Set<Signal>, _ section: ConfigSection) {
        selection.check(usedFor: signals, section)
    }
}

extension ComponentType {
    /// `span`.
    package static let span = processor("span", signals: [.traces], SpanConfig.self) {
        config, context, next in
        EditingProcessor(try SpanTransform(config), context, next: next)
    }
}
