internal import Glibc
internal import Hashing
internal import OTLP

/// Addresses and flows.
enum NetworkConverters {
    static var all: [Function] { [isInCIDR, communityID] }

    private static var isInCIDR: Function {
        Function("IsInCIDR", [.required("target", .string), .required("networks", .strings)]) {
            arguments throws(FunctionError) in
            let (target, networks) = (arguments.expression(0), arguments.expressions(1) ?? [])
            // Networks that are literals are read once.
            var known: [Network?] = []
            for network in networks {
                guard case .string(let text) = network.constant else {
                    known.append(nil)
                    continue
                }
                guard let read = Network(text.text) else {
                    throw FunctionError("invalid CIDR address: \(text.text)")
                }
                known.append(read)
            }
            let fixed = known
            return { frame throws(EvaluationError) in
                guard let address = IPAddress(try target.evaluate(frame).asString().text) else {
                    return .bool(false)
                }
                for (network, read) in zip(networks, fixed) {
                    if let read {
                        if read.contains(address) { return .bool(true) }
                        continue
                    }
                    let text = try network.evaluate(frame).asString().text
                    guard let read = Network(text) else {
                        throw EvaluationError("invalid CIDR address: \(text)")
                    }
                    if read.contains(address) { return .bool(true) }
                }
                return .bool(false)
            }
        }
    }

    private static let protocols: [String: UInt8] = [
        "ICMP": 1, "TCP": 6, "UDP": 17, "RSVP": 46, "ICMP6": 58, "SCTP": 132,
    ]

    /// The flow hash of github.com/corelight/community-id-spec, the same for both directions.
    private static var communityID: Function {
        Function(
            "CommunityID",
            [
                .required("source_ip", .string), .required("source_port", .int),
                .required("destination_ip", .string),
                .required("destination_port", .int), .optional("protocol", .string), .optional("seed", .int),
            ]
        ) { arguments in
            let values = (0..<4).map { arguments.expression($0) }
            let (name, seed) = (arguments.optionalExpression(4), arguments.optionalExpression(5))
            return { frame throws(EvaluationError) in
                let sourceText = try values[0].evaluate(frame).asString().text
                guard let source = IPAddress(sourceText) else {
                    throw EvaluationError("invalid source IP: \(sourceText)")
                }
                let destinationText = try values[2].evaluate(frame).asString().text
                guard let destination = IPAddress(destinationText) else {
                    throw EvaluationError("invalid destination IP: \(destinationText)")
                }
                let sourcePort = try port(values[1].evaluate(frame).asInt(), "source")
                let destinationPort = try port(values[3].evaluate(frame).asInt(), "destination")
                let protocolName = try name?.evaluate(frame).asString().text ?? "TCP"
                guard let number = protocols[protocolName] else {
                    throw EvaluationError("unsupported protocol: \(protocolName)")
                }
                let seed = try seed?.evaluate(frame).asInt() ?? 0
                guard (0...65535).contains(seed) else {
                    throw EvaluationError("seed must be between 0 and 65535, got \(seed)")
                }
                var ends = [(source.bytes, sourcePort), (destination.bytes, destinationPort)]
                let (one, other) = (ends[0].0, ends[1].0)
                let isOrdered =
                    one == other
                    ? sourcePort <= destinationPort
                    : one.count != other.count
                        ? one.count < other.count : one.lexicographicallyPrecedes(other)
                if !isOrdered { ends.swapAt(0, 1) }
                var data: [UInt8] = []
                data.appendBigEndian(UInt64(seed), count: 2)
                data += ends[0].0 + ends[1].0 + [number, 0]
                data.appendBigEndian(ends[0].1, count: 2)
                data.appendBigEndian(ends[1].1, count: 2)
                return .string(.owned(Array("1:".utf8) + Base64.encode(Digest.sha1.bytes(of: data))))
            }
        }
    }

    private static func port(_ value: Int64, _ end: String) throws(EvaluationError) -> UInt64 {
        guard (1...65535).contains(value) else {
            throw EvaluationError("\(end) port must be between 1 and 65535, got \(value)")
        }
        return UInt64(value)
    }
}

/// An address of 4 or 16 bytes.
struct IPAddress {
    let bytes: [UInt8]

    init?(_ text: String) {
        // SAFETY: both structures are plain memory that `inet_pton` fills, from text that lives for the call.
        var four = in_addr()
        if unsafe inet_pton(AF_INET, text, &four) == 1 {
            bytes = unsafe withUnsafeBytes(of: four) { unsafe Array($0) }
            return
        }
        var sixteen = in6_addr()
        guard unsafe inet_pton(AF_INET6, text, &sixteen) == 1 else { return nil }
        let all = unsafe withUnsafeBytes(of: sixteen) { unsafe Array($0) }
        // One of version 4 in the clothes of version 6 is one of version 4.
        let isMapped = all[0..<10].allSatisfy { $0 == 0 } && all[10] == 0xFF && all[11] == 0xFF
        bytes = isMapped ? Array(all[12...]) : all
    }
}

/// An address and how many of its bits count.
struct Network {
    private let address: [UInt8]
    private let bits: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let bits = Int(parts[1]),
            bits >= 0,
            bits <= address.bytes.count * 8, parts[1].utf8.allSatisfy(\.isDigit)
        else { return nil }
        (self.address, self.bits) = (address.bytes, bits)
    }

    func contains(_ other: IPAddress) -> Bool {
        guard address.count == other.bytes.count else { return false }
        for index in 0..<address.count {
            let left = min(8, max(0, bits - index * 8))
            let mask = left == 0 ? 0 : UInt8(truncatingIfNeeded: 0xFF << (8 - left))
            if address[index] & mask != other.bytes[index] & mask { return false }
        }
        return true
    }
}
