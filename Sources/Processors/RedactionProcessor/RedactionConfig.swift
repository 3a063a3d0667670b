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
    /// Attributes whose values are URLs or paths that lose their ids; nil = off. Key `url_sanitizer`.
    package var urlAttributes: [String]?
    /// Whether names of spans lose their ids, too. Default true. Key `url_sanitizer::sanitize_span_name`.
    package var sanitizesURLNames = false
    /// By kind of database the attributes that are statements and lose their values; an empty list is all of them. Key
    /// `db_sanitizer`.
    package var statementAttributes: [String: [String]] = [:]
    /// Whether names of spans lose them, too. Default true. Key `db_sanitizer::sanitize_span_name`.
    package var sanitizesStatementNames = false

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
        readSanitizers(section)
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

    private mutating func readSanitizers(_ section: ConfigSection) {
        if let url = section.section("url_sanitizer") {
            let attributes = url.stringList("attributes")
            let names = url.bool("sanitize_span_name", default: true)
            if url.bool("enabled", default: false) {
                (urlAttributes, sanitizesURLNames) = (attributes, names)
            }
        }
        guard let databases = section.section("db_sanitizer") else { return }
        sanitizesStatementNames = databases.bool("sanitize_span_name", default: true)
        for kind in DatabaseSanitizer.Kind.allCases {
            guard let own = databases.section(kind.rawValue) else { continue }
            let attributes = own.stringList("attributes")
            if own.bool("enabled", default: false) { statementAttributes[kind.rawValue] = attributes }
        }
        if statementAttributes.isEmpty { sanitizesStatementNames = false }
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
