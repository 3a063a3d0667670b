package import Configuration
package import Pipeline

/// The keys of `redaction`.
package struct RedactionConfig: ComponentConfig {
    /// What stands in the place of what is masked.
    package enum HashFunction: String, Sendable, CaseIterable {
        /// Four stars.
        case none = ""
        case md5
        case sha1
        /// SHA3-256.
        case sha3
        case hmacSHA256 = "hmac-sha256"
        case hmacSHA512 = "hmac-sha512"

        /// The least length of `hmac_key`; nil for those without.
        var leastKeyBytes: Int? {
            switch self {
            case .hmacSHA256: 32
            case .hmacSHA512: 64
            case .none, .md5, .sha1, .sha3: nil
            }
        }
    }

    /// What items are told of what happened to them.
    package enum Summary: String, Sendable, CaseIterable {
        case none = ""
        case silent
        /// Counts.
        case info
        /// Keys and counts.
        case debug
    }

    /// Whether `allowed_keys` is not asked. Default false. Key `allow_all_keys`.
    package var allowsAllKeys = false
    package var allowedKeys: [String] = []
    package var ignoredKeys: [String] = []
    package var ignoredKeyPatterns: [String] = []
    package var allowedValues: [String] = []
    package var blockedKeyPatterns: [String] = []
    package var blockedValues: [String] = []
    /// Whether values that are no texts are tested as text. Default false. Key `redact_all_types`.
    package var redactsAllTypes = false
    package var hashFunction = HashFunction.none
    /// Key `hmac_key`.
    package var hmacKey: Secret?
    package var summary = Summary.none

    package init(_ section: ConfigSection) {
        allowsAllKeys = section.bool("allow_all_keys", default: false)
        allowedKeys = section.stringList("allowed_keys")
        ignoredKeys = section.stringList("ignored_keys")
        ignoredKeyPatterns = section.stringList("ignored_key_patterns")
        allowedValues = section.stringList("allowed_values")
        blockedKeyPatterns = section.stringList("blocked_key_patterns")
        blockedValues = section.stringList("blocked_values")
        redactsAllTypes = section.bool("redact_all_types", default: false)
        hashFunction = section.choice("hash_function", default: .none)
        hmacKey = section.secret("hmac_key")
        summary = section.choice("summary", default: .none)
        section.notSupportedYet(
            "url_sanitizer", "write blocked_values, or a transform processor's replace_pattern")
        section.notSupportedYet(
            "db_sanitizer", "write blocked_values, or a transform processor's replace_pattern")
        checkKey(section)
        for (key, patterns, name) in lists {
            do throws(RedactionError) { _ = try RedactionRules.patterns(patterns, name) } catch {
                section.report(key, error: error.description)
            }
        }
        if !allowsAllKeys, allowedKeys.isEmpty {
            section.report(
                nil, warning: "every attribute is removed: no key is allowed",
                help: "list keys under \"allowed_keys\", or set \"allow_all_keys: true\"")
        }
        section.finish()
    }

    /// Keys with lists of patterns, and what the Collector calls the lists.
    private var lists: [(key: String, patterns: [String], name: String)] {
        [
            ("ignored_key_patterns", ignoredKeyPatterns, "ignored keys"),
            ("allowed_values", allowedValues, "allow"),
            ("blocked_key_patterns", blockedKeyPatterns, "block keys"),
            ("blocked_values", blockedValues, "block"),
        ]
    }

    private func checkKey(_ section: ConfigSection) {
        let count = hmacKey?.value.utf8.count ?? 0
        guard let least = hashFunction.leastKeyBytes else {
            if hmacKey != nil {
                section.report("hmac_key", warning: "has no effect: \"hash_function\" is none that has a key")
            }
            return
        }
        if count < least {
            section.report(
                "hmac_key",
                error: "must have at least \(least) bytes for \(hashFunction.rawValue), has \(count)",
                showsLine: false)
        }
    }
}

extension ComponentType {
    /// `redaction`.
    package static let redaction = processor("redaction", RedactionConfig.self) { config, context, next in
        EditingProcessor(try RedactionTransform(config), context, next: next)
    }
}
