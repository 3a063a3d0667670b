/// What an item says of its sampling: the `ot` member of a span's tracestate, or two attributes of a log record.
struct SamplingState: Equatable {
    /// `rv`; nil when there is none.
    var randomness: UInt64?
    /// `th`; nil when there is none.
    var threshold: Threshold?
    /// As they are written.
    var randomnessText: [UInt8] = []
    var thresholdText: [UInt8] = []

    mutating func set(randomness value: UInt64) {
        randomness = value
        randomnessText = Randomness.digits(value)
    }

    mutating func set(_ value: Threshold) {
        threshold = value
        thresholdText = value.text
    }
}

/// A W3C tracestate whose `ot` member is read. Not read at all when it breaks a rule of either.
struct TraceState: Equatable {
    var sampling = SamplingState()
    /// What else the `ot` member has.
    private var ownOthers: [[UInt8]] = []
    /// The other members.
    private var others: [[UInt8]] = []

    private static let bytesMax = 1024
    private static let ownBytesMax = 256
    private static let membersMax = 32

    init() {}

    /// - Parameter text: the whole tracestate. Nil when it is malformed or too long.
    init?(_ text: [UInt8]) {
        guard text.count <= Self.bytesMax else { return nil }
        var own: ArraySlice<UInt8>?
        var count = 0
        for member in text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let trimmed = Self.trimmed(member)
            if trimmed.isEmpty { continue }
            count += 1
            guard count <= Self.membersMax, let equals = trimmed.firstIndex(of: UInt8(ascii: "=")),
                Self.isKey(trimmed[..<equals]), Self.isValue(trimmed[(equals + 1)...])
            else { return nil }
            if trimmed[..<equals].elementsEqual("ot".utf8) {
                own = trimmed[(equals + 1)...]
            } else {
                others.append(Array(trimmed))
            }
        }
        if let own, !readOwn(own) { return nil }
    }

    private mutating func readOwn(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.count <= Self.ownBytesMax else { return false }
        for member in text.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false) {
            guard let colon = member.firstIndex(of: UInt8(ascii: ":")) else { return false }
            let (key, value) = (member[..<colon], member[(colon + 1)...])
            guard let first = key.first, Self.isLetter(first),
                key.allSatisfy({ Self.isLetter($0) || Self.isDigit($0) }),
                value.allSatisfy(Self.isOwnCharacter)
            else { return false }
            if key.elementsEqual("rv".utf8) {
                guard let randomness = Randomness.value(value) else { return false }
                sampling.randomness = randomness
                sampling.randomnessText = Array(value)
            } else if key.elementsEqual("th".utf8) {
                guard let threshold = Threshold(digits: value) else { return false }
                sampling.threshold = threshold
                sampling.thresholdText = Array(value)
            } else {
                ownOthers.append(Array(member))
            }
        }
        return true
    }

    /// The whole tracestate, the `ot` member first.
    var text: [UInt8] {
        var own: [[UInt8]] = []
        if sampling.randomness != nil { own.append(Array("rv:".utf8) + sampling.randomnessText) }
        if sampling.threshold != nil { own.append(Array("th:".utf8) + sampling.thresholdText) }
        own += ownOthers
        var members = others
        if !own.isEmpty {
            members.insert(Array("ot=".utf8) + own.joined(separator: [UInt8(ascii: ";")]), at: 0)
        }
        return Array(members.joined(separator: [UInt8(ascii: ",")]))
    }

    // MARK: - Characters (W3C Trace Context section 3.3)

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        var rest = text.drop(while: isSpace)
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return rest
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }
    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isKeyCharacter(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "_-*/".utf8.contains(byte)
    }

    private static func isOwnCharacter(_ byte: UInt8) -> Bool {
        isLetter(byte | 0x20) || isDigit(byte) || "._-".utf8.contains(byte)
    }

    private static func isKey(_ key: ArraySlice<UInt8>) -> Bool {
        let parts = key.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let system = parts.last, let first = system.first,
            isLetter(first),
            parts.allSatisfy({ $0.allSatisfy(isKeyCharacter) })
        else { return false }
        guard parts.count == 2 else { return key.count <= 256 }
        guard let tenant = parts[0].first else { return false }
        return (isLetter(tenant) || isDigit(tenant)) && parts[0].count <= 241 && system.count <= 14
    }

    private static func isValue(_ value: ArraySlice<UInt8>) -> Bool {
        !value.isEmpty && value.count <= 256 && value.last != 0x20
            && value.allSatisfy {
                (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=")
            }
    }
}
