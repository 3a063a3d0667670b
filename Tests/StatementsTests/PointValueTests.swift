import OTLP
import Testing

@testable import Statements

/// A condition on a point's value would hold for a value that no reader behind the gateway sees.
@Suite struct PointValueTests {
    /// Scenario: points with an integer, a float, and both in either order. Guarantees: of both the last counts, and the other
    /// kind is 0, as in the Collector.
    @Test(
        arguments: [
            ([4], 2.5, 0), ([6], 0, 7), ([4, 6], 0, 7), ([6, 4], 2.5, 0), ([6, 4, 6], 0, 7), ([], 0, 0),
        ] as [([UInt32], Double, Int64)])
    func lastCounts(numbers: [UInt32], double: Double, int: Int64) throws {
        var point = WireWriter()
        for number in numbers { point.fixed64(number, number == 4 ? (2.5).bitPattern : 7) }
        var request = point.bytes
        // Of a gauge, of a metric, of a scope, of a resource.
        for number in [1, 5, 2, 2, 1] as [UInt32] {
            var around = WireWriter()
            around.field(number, request)
            request = around.bytes
        }
        let condition = try Condition(
            "value_double == \(double) and value_int == \(int)", for: .datapoint)
        let holds = try request.withUnsafeBytes { bytes in
            let editor = RequestEditor()
            editor.open(WireBytes(bytes))
            var holds: [Bool] = []
            try Frame(editor).forEach(.datapoint) { holds.append(try condition.holds($0)) }
            return holds
        }
        #expect(holds == [true])
    }
}
