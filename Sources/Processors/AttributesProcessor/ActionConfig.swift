package import Configuration

/// One entry of `actions` or `attributes`, as it is written.
package struct ActionConfig: Sendable, Equatable {
    package var action = ""
    package var key = ""
    package var pattern = ""
    package var value: ConfigValue?
    package var fromAttribute = ""
    package var fromContext = ""
    package var defaultValue: ConfigValue?
    package var convertedType = ""

    package init() {}

    package init(_ section: ConfigSection) {
        action = (section.optionalString("action") ?? "").lowercased()
        key = section.optionalString("key") ?? ""
        pattern = section.optionalString("pattern") ?? ""
        value = section.anyValue("value")
        fromAttribute = section.optionalString("from_attribute") ?? ""
        fromContext = section.optionalString("from_context") ?? ""
        defaultValue = section.anyValue("default_value")
        convertedType = section.optionalString("converted_type") ?? ""
    }

    /// The list under a key, checked: what is not valid is reported where it stands.
    static func list(_ key: String, of section: ConfigSection) -> [ActionConfig] {
        let help = "write \(key): [{key: team, value: shop, action: insert}], or remove the processor"
        guard let sections = section.sectionList(key) else {
            if !section.isBroken(key) {
                section.report(nil, error: "missing required field \"\(key)\"", help: help)
            }
            return []
        }
        if sections.isEmpty { section.report(key, error: "missing required field \"\(key)\"", help: help) }
        return sections.enumerated().map { index, entry in
            let config = ActionConfig(entry)
            do throws(ActionError) { _ = try Action(config, at: index) } catch {
                entry.report(nil, error: error.description, help: error.help)
            }
            return config
        }
    }
}

/// Why an action is not valid, in the Collector's words.
struct ActionError: Error, CustomStringConvertible {
    let description: String
    /// What to write instead; nil: the description says it.
    var help: String?
}

extension ActionConfig {
    /// The keys that are set though the action does not use them are errors, and so are those that it lacks.
    func check(at index: Int) throws(ActionError) {
        switch action {
        case "delete", "hash":
            if key.isEmpty, pattern.isEmpty {
                throw ActionError(
                    description: "error creating AttrProc due to missing required field (at least one of "
                        + "\"key\" and \"pattern\" have to be used) at the \(index)-th action")
            }
        default:
            if key.isEmpty {
                throw ActionError(
                    description: "error creating AttrProc due to missing required field \"key\" "
                        + "at the \(index)-th action")
            }
        }
        do throws(ActionError) { try checkFields() } catch {
            throw ActionError(
                description: "error with key \"\(key)\" (\(index)-th action): \(error.description)",
                help: error.help)
        }
    }

    private func checkFields() throws(ActionError) {
        switch action {
        case "insert", "update", "upsert":
            let sources =
                (value == nil ? 0 : 1) + (fromAttribute.isEmpty ? 0 : 1) + (fromContext.isEmpty ? 0 : 1)
            if sources > 1 { throw fault(" due to multiple value sources being set") }
            if sources == 0, defaultValue == nil {
                throw fault(
                    ". Either field \"value\", \"from_attribute\", \"from_context\", or \"default_value\" "
                        + "must be specified")
            }
            try refuse("pattern", isSet: !pattern.isEmpty)
            try refuse("converted_type", isSet: !convertedType.isEmpty)
        case "delete", "hash":
            try refuseValue()
            try refuse("converted_type", isSet: !convertedType.isEmpty)
        case "extract":
            try refuseValue()
            if pattern.isEmpty {
                throw fault(" due to missing required field \"pattern\" for action \"\(action)\"")
            }
            try refuse("converted_type", isSet: !convertedType.isEmpty)
        case "convert":
            if value != nil || !fromAttribute.isEmpty || !pattern.isEmpty {
                throw fault(
                    ". Action \"\(action)\" does not use \"value\", \"pattern\" or \"from_attribute\" field. "
                        + "These must not be specified")
            }
            switch convertedType {
            case "int", "double", "string": break
            case "": throw fault(" due to missing required field \"converted_type\" for action \"\(action)\"")
            default:
                throw fault(
                    " due to invalid value \"\(convertedType)\" in field \"converted_type\" "
                        + "for action \"\(action)\"")
            }
        default:
            let known = ["insert", "update", "upsert", "delete", "hash", "extract", "convert"]
            var fault = fault(" due to unsupported action \"\(action)\"")
            fault.help =
                nearest(action, in: known).map { "did you mean \"\($0)\"?" }
                ?? "write one of \(known.joined(separator: ", "))"
            throw fault
        }
    }

    private func fault(_ rest: String) -> ActionError {
        ActionError(description: "error creating AttrProc" + rest)
    }

    private func refuse(_ field: String, isSet: Bool) throws(ActionError) {
        guard isSet else { return }
        throw fault(". Action \"\(action)\" does not use the \"\(field)\" field. This must not be specified")
    }

    private func refuseValue() throws(ActionError) {
        guard value != nil || !fromAttribute.isEmpty else { return }
        throw fault(
            ". Action \"\(action)\" does not use \"value\" or \"from_attribute\" field. "
                + "These must not be specified")
    }
}
