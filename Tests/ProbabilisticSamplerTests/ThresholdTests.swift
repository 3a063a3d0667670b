import Testing

@testable import ProbabilisticSampler

/// The arithmetic that all samplers of a chain must agree on: one digit off, and traces are torn apart.
@Suite("thresholds and randomness")
struct ThresholdTests {
    private func text(_ percentage: Double, precision: Int = 4) -> String? {
        Threshold(probability: percentage / 100, precision: precision).map {
            String(decoding: $0.text, as: UTF8.self)
        }
    }

    @Test(
        "the text of a probability",
        arguments: [
            (50, "8"), (25, "c"), (12.5, "e"), (10, "e666"), (5, "f3333"), (1, "fd70a"), (0.1, "ffbe77"),
            (0.01, "fff9724"), (33.3, "aac1"), (66.7, "553f"), (99, "028f6"), (100, "0"),
        ])
    func texts(percentage: Double, expected: String) {
        #expect(text(percentage) == expected)
    }

    @Test("more digits, and the limits")
    func precision() {
        #expect(text(10, precision: 14) == "e6666666666666")
        #expect(text(33.3, precision: 1) == "b")
        #expect(text(101) == nil)
        #expect(text(1e-20) == nil)
    }

    @Test("a hash is spread over 56 bits")
    func hashes() {
        let id: [UInt8] = (0..<2).flatMap { _ in [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef] as [UInt8] }
        let one: [UInt8] = Array(repeating: 0, count: 15) + [1]
        #expect(Randomness.hashed(id, seed: 0) == 0x77a8_0e52_9462_15)
        #expect(Randomness.hashed(id, seed: 22) == 0x7d70_3176_5ea0_a3)
        #expect(Randomness.hashed(one, seed: 22) == 0x4b3c_1e48_93ed_30)
    }
}

/// A tracestate belongs to several vendors: what is not ours must come out as it came.
@Suite("tracestate")
struct TraceStateTests {
    private func rewritten(_ text: String) -> String? {
        TraceState(Array(text.utf8)).map { String(decoding: $0.text, as: UTF8.self) }
    }

    @Test(
        "other members are kept, ours comes first",
        arguments: [
            ("vendor=x, ot=foo:bar;rv:ffffffffffffff;th:8", "ot=rv:ffffffffffffff;th:8;foo:bar,vendor=x"),
            ("a@b=1,,c/d=2", "a@b=1,c/d=2"), ("", ""),
        ])
    func kept(text: String, expected: String) {
        #expect(rewritten(text) == expected)
    }

    @Test(
        "what breaks a rule is not read at all",
        arguments: [
            "bad==", "Upper=1", "ot=rv:12", "ot=th:zz", "ot=th:", "ot=noColon", "a=", "a=b=c",
            "ot=x:" + String(repeating: "a", count: 255),
            (0..<33).map { "k\($0)=1" }.joined(separator: ","), "a=" + String(repeating: "b", count: 1024),
        ])
    func broken(text: String) {
        #expect(rewritten(text) == nil)
    }
}
