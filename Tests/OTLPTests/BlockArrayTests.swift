import OTLP
import Testing

/// Without these counts of one series would be shown as another's, or all series be moved while their loop stands still.
@Suite struct BlockArrayTests {
    /// Guarantees: each element keeps its values, in order, across blocks.
    @Test(arguments: [1, 3, 20]) func valuesAreKept(stride: Int) {
        var array = BlockArray<Int>(stride: stride)
        for index in 0..<5000 {
            array.append(-1)
            for place in 0..<stride { array[index, place] = index * 100 + place }
        }
        #expect(array.count == 5000)
        for index in 0..<5000 {
            #expect(Array(array[values: index]) == (0..<stride).map { index * 100 + $0 })
        }
        array.withMutableValues(of: 2048) { unsafe $0[stride - 1] = 7 }
        #expect(array[2048, stride - 1] == 7 && array[2047, stride - 1] == 204_700 + stride - 1)
    }

    /// Guarantees: an array that grows moves a thousand elements at most.
    @Test func nothingIsMoved() {
        var array = BlockArray<UInt64>(stride: 5)
        var addresses: [UInt] = []
        for index in 0..<20_000 {
            array.append(0)
            addresses.append(array.withValues(of: index) { UInt(bitPattern: $0) })
        }
        let moved = (0..<20_000).filter { index in
            addresses[index] != array.withValues(of: index) { UInt(bitPattern: $0) }
        }
        #expect(moved.allSatisfy { $0 < 1024 })
    }
}
