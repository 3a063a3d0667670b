package import OTLP

/// An item with everything around it: what a destination makes of a request.
package struct ItemInContext: Equatable, Sendable {
    /// For each level from the outermost: the bytes of the fields that do not lead to items, in order.
    package var around: [[UInt8]] = []
    package var item: [UInt8] = []
}

/// All items of a valid request, in order; read plainly, without the code under test.
package func itemsInContext(_ request: [UInt8], _ signal: Signal) -> [ItemInContext] {
    var found: [ItemInContext] = []
    collect(request[...], signal, level: 0, around: [], into: &found)
    return found
}

private func collect(
    _ message: ArraySlice<UInt8>, _ signal: Signal, level: Int, around: [[UInt8]],
    into found: inout [ItemInContext]
) {
    let ways: [[UInt64]] = [[1], [2], [2], [5, 7, 9, 10, 11], [1]]
    let itemLevel = signal == .metrics ? 4 : 2
    var own: [UInt8] = []
    var inner: [ArraySlice<UInt8>] = []
    var innerWhole: [[UInt8]] = []
    var rest = message
    while !rest.isEmpty {
        let before = rest
        let tag = takeVarint(&rest)
        var content: ArraySlice<UInt8> = []
        switch tag & 7 {
        case 0: _ = takeVarint(&rest)
        case 1: rest = rest.dropFirst(8)
        case 5: rest = rest.dropFirst(4)
        case 2:
            let count = Int(takeVarint(&rest))
            content = rest.prefix(count)
            rest = rest.dropFirst(count)
        default: preconditionFailure("not a valid request")
        }
        let whole = before.prefix(before.count - rest.count)
        if tag & 7 == 2, ways[level].contains(tag >> 3) {
            inner.append(content)
            innerWhole.append(Array(whole))
        } else {
            own += whole
        }
    }
    for (content, whole) in zip(inner, innerWhole) {
        if level == itemLevel {
            found.append(ItemInContext(around: around + [own], item: whole))
        } else {
            collect(content, signal, level: level + 1, around: around + [own], into: &found)
        }
    }
}

private func takeVarint(_ bytes: inout ArraySlice<UInt8>) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while let byte = bytes.popFirst() {
        value |= UInt64(byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 { return value }
    }
    preconditionFailure("not a valid request")
}
