import OTLP
import TestSupport

/// Summarizes an array.
func summary(_ bytes: [UInt8], _ signal: Signal) throws(WireError) -> RequestSummary {
    let result: Result<RequestSummary, WireError> = bytes.withUnsafeBytes { bytes in
        do throws(WireError) {
            return .success(try summarize(bytes, as: signal))
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

/// The fault in an array; nil when there is none.
func fault(_ bytes: [UInt8], _ signal: Signal) -> WireError? {
    do throws(WireError) {
        _ = try summary(bytes, signal)
        return nil
    } catch {
        return error
    }
}

/// What is left when all repairs are made.
func mended(_ bytes: [UInt8], _ signal: Signal) throws(WireError) -> [UInt8] {
    try RequestRepair.mended(bytes, as: signal)
}

/// A message from its fields.
func message(_ build: (inout ProtoWriter) -> Void) -> [UInt8] {
    var writer = ProtoWriter()
    build(&writer)
    return writer.bytes
}

/// A trace request around the fields of one span.
func traceRequest(span: (inout ProtoWriter) -> Void) -> [UInt8] {
    message { $0.message(1) { $0.message(2) { $0.message(2, span) } } }
}

/// A field as a second, simple reader sees it.
struct PlainField: Equatable {
    var number: Int
    var wireType: Int
    var raw: [UInt8]
    var content: [UInt8]
}

/// Reads valid protobuf with no regard for speed.
func plainFields(_ bytes: [UInt8]) -> [PlainField] {
    var fields: [PlainField] = []
    var index = 0
    func varint() -> Int {
        var result = 0
        var shift = 0
        while true {
            let byte = bytes[index]
            index += 1
            result |= Int(byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
    }
    while index < bytes.count {
        let start = index
        let tag = varint()
        var contentStart = index
        switch tag & 7 {
        case 0: _ = varint()
        case 1: index += 8
        case 5: index += 4
        default:
            let count = varint()
            contentStart = index
            index += count
        }
        fields.append(
            PlainField(
                number: tag >> 3, wireType: tag & 7, raw: Array(bytes[start..<index]),
                content: Array(bytes[contentStart..<index])))
    }
    return fields
}
