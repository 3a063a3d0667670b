internal import Configuration
internal import Hashing
internal import ItemMatching
internal import OTLP
internal import RegularExpression

/// Why rules are not valid, in the Collector's words.
struct RedactionError: Error, CustomStringConvertible {
    let description: String
}

/// What the rules say of a key and a value, and what they make of a value. Any thread.
struct RedactionRules: Sendable {
    /// What happens to an attribute.
    enum Verdict {
        /// Passed through untouched.
        case ignored
        /// Not on the list of allowed keys.
        case redacted
        /// Its value is allowed.
        case allowed
        /// It is to have this value.
        case masked(WireBytes)
        /// Nothing.
        case kept
    }

    private let allowedKeys: KeySet?
    private let ignoredKeys: KeySet
    private let ignoredKeyPatterns: [RegularExpression]
    private let allowedValues: [RegularExpression]
    private let blockedKeyPatterns: [RegularExpression]
    private let blockedValues: [RegularExpression]
    let redactsAllTypes: Bool
    private let hash: @Sendable ([UInt8]) -> [UInt8]
    /// Each line of a text, and an empty one.
    private let everything: RegularExpression

    /// - Throws: a pattern is none.
    init(_ config: RedactionConfig) throws {
        // What this processor adds itself is allowed.
        allowedKeys = config.allowsAllKeys ? nil : KeySet(config.allowedKeys + RedactionSummary.keys)
        ignoredKeys = KeySet(config.ignoredKeys)
        ignoredKeyPatterns = try Self.patterns(config.ignoredKeyPatterns, "ignored keys")
        allowedValues = try Self.patterns(config.allowedValues, "allow")
        blockedKeyPatterns = try Self.patterns(config.blockedKeyPatterns, "block keys")
        blockedValues = try Self.patterns(config.blockedValues, "block")
        redactsAllTypes = config.redactsAllTypes
        hash = Self.hash(config)
        everything = try RegularExpression.goPattern(".*")
    }

    static func patterns(_ texts: [String], _ list: String) throws(RedactionError) -> [RegularExpression] {
        var patterns: [RegularExpression] = []
        for text in texts {
            do throws(MatchError) { patterns.append(try RegularExpression.goPattern(text)) } catch {
                throw RedactionError(description: "failed to process \(list) list: \(error)")
            }
        }
        return patterns
    }

    private static func hash(_ config: RedactionConfig) -> @Sendable ([UInt8]) -> [UInt8] {
        let key = Array((config.hmacKey?.value ?? "").utf8)
        switch config.hashFunction {
        case .none: return { _ in Array("****".utf8) }
        case .md5: return { Digest.md5.hex(of: $0) }
        case .sha1: return { Digest.sha1.hex(of: $0) }
        case .sha3: return { Digest.sha3.hex(of: $0) }
        case .hmacSHA256: return { Digest.sha256.hex(of: $0, key: key) }
        case .hmacSHA512: return { Digest.sha512.hex(of: $0, key: key) }
        }
    }

    // MARK: - Keys

    func ignores(_ key: WireBytes) -> Bool {
        ignoredKeys.contains(key) || Self.anyOccurs(ignoredKeyPatterns, in: key)
    }

    func redacts(_ key: WireBytes) -> Bool {
        guard let allowedKeys else { return false }
        return !allowedKeys.contains(key)
    }

    func masks(_ key: WireBytes) -> Bool { Self.anyOccurs(blockedKeyPatterns, in: key) }

    // MARK: - Values

    func allows(_ text: WireBytes) -> Bool { Self.anyOccurs(allowedValues, in: text) }

    /// The value of a blocked key.
    func wholeMask(_ text: WireBytes, _ request: RequestEditor) -> WireBytes {
        request.keep(replace(text.array, everything))
    }

    /// The text with what is blocked in it masked; nil when nothing is. Allocates nothing in that case.
    func mask(_ text: WireBytes, _ request: RequestEditor) -> WireBytes? {
        var masked: [UInt8]?
        for pattern in blockedValues {
            if let current = masked {
                masked = replace(current, pattern)
            } else if pattern.occurs(in: text) {
                masked = replace(text.array, pattern)
            }
        }
        return masked.map { request.keep($0) }
    }

    /// What happens to an attribute.
    func judge(_ key: WireBytes, _ value: AttributeValue, _ request: RequestEditor) -> Verdict {
        if ignores(key) { return .ignored }
        if redacts(key) { return .redacted }
        let text: WireBytes
        switch value {
        case .string(let bytes): text = bytes
        default: text = redactsAllTypes ? request.keep(AttributeText(value).bytes) : .none
        }
        if allows(text) { return .allowed }
        if masks(key) { return .masked(wholeMask(text, request)) }
        return mask(text, request).map { .masked($0) } ?? .kept
    }

    private func replace(_ text: [UInt8], _ pattern: RegularExpression) -> [UInt8] {
        unsafe text.withUnsafeBufferPointer { bytes in
            do throws(RegularExpression.TooSlow) {
                // SAFETY: borrowed for the call.
                return try unsafe pattern.replaceAll(
                    bytes, with: RegularExpression.Template("$0", for: pattern), change: hash)
            } catch {
                // What is secret in it stays so.
                return hash(text)
            }
        } ?? text
    }

    private static func anyOccurs(_ patterns: [RegularExpression], in text: WireBytes) -> Bool {
        for pattern in patterns where pattern.occurs(in: text) { return true }
        return false
    }
}

/// Keys to look for, by their lengths. Any thread; looking allocates nothing.
struct KeySet: Sendable {
    private var byLength: [[OwnedBytes]] = []

    init(_ keys: [String]) {
        for key in keys {
            let bytes = OwnedBytes(key)
            while byLength.count <= bytes.bytes.count { byLength.append([]) }
            byLength[bytes.bytes.count].append(bytes)
        }
    }

    func contains(_ key: WireBytes) -> Bool {
        guard key.count < byLength.count else { return false }
        for candidate in byLength[key.count] where candidate.bytes.isEqual(to: key) { return true }
        return false
    }
}
