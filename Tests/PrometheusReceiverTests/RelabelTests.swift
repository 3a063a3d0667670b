import RegularExpression
import Testing

@testable import PrometheusReceiver

func rule(
    _ action: RelabelRule.Action, _ sources: [String] = [], target: String = "", regex: String = "(.*)",
    replacement: String = "$1", separator: String = ";", modulus: UInt64 = 0
) -> RelabelRule {
    guard let expression = try? RegularExpression(regex) else { preconditionFailure("no pattern: \(regex)") }
    return RelabelRule(
        action: action, sourceLabels: sources, separator: separator, targetLabel: target,
        regex: expression, replacement: replacement, modulus: modulus)
}

func text(_ set: LabelSet) -> String { set.labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",") }

@Suite struct RelabelTests {
    static let labels = [
        Label("__address__", "web-3:9100"), Label("__meta_pod", "web-3"), Label("__meta_zone", "B"),
        Label("a", "foo"), Label("b", "bar"), Label("c", "bar"),
    ]

    static let setting: [(RelabelRule, String)] = [
        (rule(.replace, ["a"], target: "d"), "d=foo"),
        (rule(.replace, ["a", "b"], target: "d"), "d=foo;bar"),
        (rule(.replace, ["a", "b"], target: "d", replacement: "$1/$2", separator: "-"), "d=foo-bar/"),
        (rule(.replace, ["a"], target: "d", regex: "f(.+)", replacement: "x${1}y"), "d=xooy"),
        (rule(.replace, ["a"], target: "d", regex: "o+"), ""),
        (
            rule(
                .replace, ["__address__"], target: "d", regex: "([^:]+)(?::\\d+)?", replacement: "$1:80"),
            "d=web-3:80"
        ),
        (rule(.replace, [], target: "d", replacement: "fixed"), "d=fixed"),
        (rule(.replace, ["b"], target: "to_${1}"), "to_bar=bar"),
        (rule(.replace, ["missing"], target: "d", regex: "(.+)", replacement: "x"), ""),
        (rule(.lowercase, ["__meta_zone"], target: "d"), "d=b"),
        (rule(.uppercase, ["a", "b"], target: "d"), "d=FOO;BAR"),
        (rule(.hashmod, ["a"], target: "d", modulus: 1000), "d=?"),
        (rule(.labelmap, regex: "__meta_(.+)"), "pod=web-3,zone=B"),
        (rule(.labelmap, regex: "__meta_(.+)", replacement: "k8s_$1"), "k8s_pod=web-3,k8s_zone=B"),
    ]

    /// Prometheus' configuration must keep its meaning: wrong here is a target lost, or a label that alerts miss.
    @Test(arguments: setting)
    func labelsAreSet(rule: RelabelRule, added: String) {
        var set = LabelSet(Self.labels)
        #expect(rule.apply(to: &set))
        let known = Self.labels.map { "\($0.name)=\($0.value)" }
        let new = set.labels.map { "\($0.name)=\($0.value)" }.filter { !known.contains($0) }
        if rule.action == .hashmod {
            #expect(new.count == 1)
        } else {
            #expect(new.joined(separator: ",") == added)
        }
        #expect(known.allSatisfy { text(set).contains($0) })
    }

    static let deciding: [(RelabelRule, Bool)] = [
        (rule(.keep, ["a"], regex: "foo"), true), (rule(.keep, ["a"], regex: "fo"), false),
        (rule(.keep, ["a", "b"], regex: "foo;b.*"), true),
        (rule(.drop, ["a"], regex: "foo"), false),
        (rule(.drop, ["a"], regex: "o"), true), (rule(.keepequal, ["b"], target: "c"), true),
        (rule(.keepequal, ["a"], target: "c"), false),
        (rule(.dropequal, ["b"], target: "c"), false),
        (rule(.dropequal, ["a"], target: "c"), true), (rule(.keep, ["missing"], regex: ""), true),
    ]

    @Test(arguments: deciding)
    func targetsAreKeptOrDropped(rule: RelabelRule, kept: Bool) {
        var set = LabelSet(Self.labels)
        #expect(rule.apply(to: &set) == kept)
    }

    @Test func labelsAreDroppedAndKept() {
        var set = LabelSet(Self.labels)
        #expect(rule(.labeldrop, regex: "__meta_.*|a").apply(to: &set))
        #expect(text(set) == "__address__=web-3:9100,b=bar,c=bar")
        #expect(rule(.labelkeep, regex: "b|__.*").apply(to: &set))
        #expect(text(set) == "__address__=web-3:9100,b=bar")
    }

    /// An empty replacement takes the label away.
    @Test func emptyIsGone() {
        var set = LabelSet(Self.labels)
        #expect(rule(.replace, [], target: "a", replacement: "").apply(to: &set))
        #expect(!set.contains("a"))
    }

    @Test func rulesWorkOneAfterTheOther() {
        let rules = [
            rule(.replace, ["__meta_pod"], target: "pod"), rule(.drop, ["pod"], regex: "web-4"),
            rule(.labeldrop, regex: "__meta.*"), rule(.keep, ["__meta_pod"], regex: ".+"),
        ]
        var set = LabelSet(Self.labels)
        #expect(!rules.apply(to: &set))
    }

    /// RFC 1321, A.5: shards that Prometheus made must stay the same shards.
    @Test(arguments: [
        ("", "d41d8cd98f00b204e9800998ecf8427e"), ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a"
        ), (String(repeating: "a", count: 56), "3b0c8ac703f828b04c6c197006d17218"),
    ])
    func shards(message: String, hex: String) {
        #expect(RelabelRule.shard(message) == UInt64(hex.dropFirst(16), radix: 16))
    }
}
