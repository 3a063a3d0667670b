internal import HTTP
internal import NIOCore
internal import OTLP

/// What `grpc-timeout` says (gRPC over HTTP/2, "Requests"): how long the client waits for the answer.
enum GRPCTimeout: Equatable {
    case none
    case after(TimeAmount)
    case malformed(String)

    init(_ head: HeaderBlock) {
        guard let text = head["grpc-timeout"] else {
            self = .none
            return
        }
        self = Self.read(text)
    }

    /// One to eight digits and a unit.
    private static func read(_ text: String) -> GRPCTimeout {
        let digits = text.utf8.dropLast()
        guard (1...8).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let unit = text.utf8.last, let nanoseconds = nanoseconds(of: unit)
        else { return .malformed(String(decoding: text.utf8.prefix(64), as: UTF8.self)) }
        let value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
        let (product, overflow) = value.multipliedReportingOverflow(by: nanoseconds)
        // Millennia.
        return overflow ? .none : .after(.nanoseconds(product))
    }

    private static func nanoseconds(of unit: UInt8) -> Int64? {
        switch unit {
        case UInt8(ascii: "H"): 3_600_000_000_000
        case UInt8(ascii: "M"): 60_000_000_000
        case UInt8(ascii: "S"): 1_000_000_000
        case UInt8(ascii: "m"): 1_000_000
        case UInt8(ascii: "u"): 1_000
        case UInt8(ascii: "n"): 1
        default: nil
        }
    }
}

extension Answer.Failure {
    static func malformedTimeout(_ text: String) -> Self {
        Self(.invalidArgument, 400, "grpc-timeout is not one to eight digits and a unit: \"\(text)\"")
    }

    static let timeoutExpired = Self(
        .deadlineExceeded, 503, "grpc-timeout ended before the request was complete")
}
