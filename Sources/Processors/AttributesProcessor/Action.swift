internal import Configuration
internal import ItemMatching
internal import OTLP
internal import RegularExpression

/// One action, ready to be applied. Any thread.
enum Action: Sendable {
    /// When a value is set.
    enum SetMode {
        /// Only where the key is not.
        case insert
        /// Only where the key is.
        case update
        case upsert
    }

    /// Where a value comes from.
    enum Source: Sendable {
        case constant(OwnedValue)
        /// Another attribute of the same item.
        case attribute(OwnedBytes)
        /// What the client sent beside the data.
        case context(ContextSource)
        case nowhere
    }

    /// What a value becomes.
    enum Target: Sendable {
        case int
        case double
        case string
    }

    case set(OwnedBytes, SetMode, Source, fallback: OwnedValue?)
    case delete(OwnedBytes?, RegularExpression?)
    case hash(OwnedBytes?, RegularExpression?)
    case extract(OwnedBytes, RegularExpression, groups: [OwnedBytes])
    case convert(OwnedBytes, Target)

    /// - Throws: why the configuration of the action is not valid.
    init(_ config: ActionConfig, at index: Int) throws(ActionError) {
        try config.check(at: index)
        let key = OwnedBytes(config.key)
        switch config.action {
        case "insert": self = .set(key, .insert, Source(config), fallback: config.defaultValue?.owned)
        case "update": self = .set(key, .update, Source(config), fallback: config.defaultValue?.owned)
        case "upsert": self = .set(key, .upsert, Source(config), fallback: config.defaultValue?.owned)
        case "convert":
            let targets: [String: Target] = ["int": .int, "double": .double]
            self = .convert(key, targets[config.convertedType] ?? .string)
        case "extract":
            let pattern = try Self.pattern(config, index)
            self = .extract(key, pattern, groups: try Self.groups(of: pattern, config, index))
        default:
            let pattern = config.pattern.isEmpty ? nil : try Self.pattern(config, index)
            let exact = config.key.isEmpty ? nil : key
            self = config.action == "hash" ? .hash(exact, pattern) : .delete(exact, pattern)
        }
    }

    private static func pattern(_ config: ActionConfig, _ index: Int) throws(ActionError) -> RegularExpression
    {
        do throws(MatchError) { return try RegularExpression.goPattern(config.pattern) } catch {
            throw ActionError(
                description:
                    "error with key \"\(config.key)\" (\(index)-th action): error creating AttrProc. "
                    + "Field \"pattern\" has invalid pattern: \"\(config.pattern)\": \(error)")
        }
    }

    private static func groups(
        of pattern: RegularExpression, _ config: ActionConfig, _ index: Int
    ) throws(ActionError) -> [OwnedBytes] {
        let names = pattern.groupNames
        guard names.isEmpty || names.count < pattern.groupCount else {
            return names.sorted { $0.group < $1.group }.map { OwnedBytes($0.name) }
        }
        let what = pattern.groupCount == 0 ? "no named matcher groups" : "at least one unnamed matcher group"
        throw ActionError(
            description: "error with key \"\(config.key)\" (\(index)-th action): error creating AttrProc. "
                + "Field \"pattern\" contains \(what)")
    }
}

extension Action.Source {
    fileprivate init(_ config: ActionConfig) {
        if let value = config.value {
            self = .constant(value.owned)
        } else if !config.fromAttribute.isEmpty {
            self = .attribute(OwnedBytes(config.fromAttribute))
        } else if !config.fromContext.isEmpty {
            self = .context(ContextSource(config.fromContext))
        } else {
            self = .nowhere
        }
    }
}
