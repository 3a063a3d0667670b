import OTLP
import Testing

@testable import Statements

/// What editors do to attributes. A wrong one destroys data that nobody can bring back.
@Suite("editors")
struct EditorTests {
    @Test(
        "attributes after one statement",
        arguments: [
            ("set(attributes[\"i\"], 8)", "i", "int 8"),
            ("set(attributes[\"a\"][\"b\"], 1)", "a", "{b: int 1}"),
            ("set(attributes[\"l\"][1], \"x\")", "l", "[int 1, \"x\", int 3]"),
            ("set(attributes[\"i\"], nil)", "i", "int 7"),
            ("delete_key(attributes, \"i\")", "i", nil), ("delete_key(attributes, \"none\")", "i", "int 7"),
            ("delete_matching_keys(attributes, \"^[si]$\")", "i", nil),
            ("keep_keys(attributes, [\"s\"])", "i", nil),
            ("keep_matching_keys(attributes, \"^i$\")", "s", nil),
            ("limit(attributes, 1, [\"d\"])", "d", "double 1.5"),
            ("truncate_all(attributes, 4)", "s", "\"Hell\""),
            ("replace_pattern(attributes[\"s\"], \"(o)\", \"<$1>\")", "s", "\"Hell<o> W<o>rld\""),
            ("replace_pattern(attributes[\"s\"], \"(o)\", \"$1x\")", "s", "\"Hell Wrld\""),
            (
                "replace_pattern(attributes[\"s\"], \"World\", \"x\", SHA1, \"[%s]\")", "s",
                "\"Hello [11f6ad8ec52a2984abaafd7c3b516503785c2072]\""
            ),
            ("replace_match(attributes[\"s\"], \"Hello*\", \"x\")", "s", "\"x\""),
            ("replace_all_patterns(attributes, \"key\", \"^s(.*)\", \"t$1\")", "t500", "\"500\""),
            ("replace_all_matches(attributes, \"5*\", \"x\")", "s500", "\"x\""),
            ("merge_maps(attributes, {\"i\": 1, \"n\": 2}, \"insert\")", "i", "int 7"),
            ("merge_maps(attributes, {\"i\": 1, \"n\": 2}, \"update\")", "n", nil),
            ("merge_maps(attributes, {\"i\": 1, \"n\": 2}, \"upsert\")", "i", "int 1"),
            ("flatten(attributes)", "m.k", "\"v\""), ("flatten(attributes)", "l.2", "int 3"),
            ("append(attributes[\"l\"], 4)", "l", "[int 1, int 2, int 3, int 4]"),
            ("delete_index(attributes[\"l\"], 0, 2)", "l", "[int 3]"),
            ("stringify_all(attributes)", "i", "\"7\""),
            ("set(attributes, {\"only\": 1})", "i", nil),
        ] as [(String, String, String?)])
    func changes(_ statement: String, _ key: String, _ expected: String?) throws {
        let evaluated = try Evaluated([statement])
        #expect(evaluated.attributes[key] == expected, "\(statement): \(evaluated.errors)")
        #expect(evaluated.errors.isEmpty)
    }

    /// `cache` carries a value from one statement to the next without leaving a trace in the data.
    @Test("the cache lives as long as one item")
    func cache() throws {
        let evaluated = try Evaluated([
            "set(cache[\"x\"], attributes[\"i\"])", "set(attributes[\"r\"], cache[\"x\"] + 1)",
        ])
        #expect(evaluated.attributes["r"] == "int 8")
    }

    private static let metrics = """
        {"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","unit":"s","histogram":{"dataPoints":[{"startTimeUnixNano":"1",
        "timeUnixNano":"2","count":"6","sum":12.5,"bucketCounts":["1","2","3"],"explicitBounds":[1,5],
        "attributes":[{"key":"a","value":{"stringValue":"x"}}]}],"aggregationTemporality":1}},
        {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"2","asInt":"3","attributes":[{"key":"a","value":{"stringValue":"x"}},
        {"key":"b","value":{"stringValue":"1"}}]},{"timeUnixNano":"2","asInt":"4","attributes":[{"key":"a","value":{"stringValue":"x"}},
        {"key":"b","value":{"stringValue":"2"}}]}]}}]}]}]}
        """

    @Test(
        "metrics after one statement",
        arguments: [
            ("extract_count_metric(true) where name == \"h\"", "\"name\":\"h_count\",\"unit\":\"1\",\"sum\""),
            ("extract_sum_metric(false) where name == \"h\"", "\"asDouble\":12.5"),
            (
                "convert_gauge_to_sum(\"delta\", true) where name == \"g\"",
                "\"aggregationTemporality\":1,\"isMonotonic\":true"
            ),
            ("copy_metric(name=\"c\") where name == \"g\"", "\"name\":\"c\""),
            ("scale_metric(10.0, \"x\") where name == \"g\"", "\"asInt\":\"40\""),
            ("aggregate_on_attributes(\"sum\", [\"a\"]) where name == \"g\"", "\"asInt\":\"7\""),
            (
                "merge_histogram_buckets(1.0) where name == \"h\"",
                "\"bucketCounts\":[\"3\",\"3\"],\"explicitBounds\":[5]"
            ),
            ("extract_percentile_metric(50.0) where name == \"h\"", "\"name\":\"h_p50\""),
            ("set(name, Concat([name, \"total\"], \".\"))", "\"name\":\"h.total\""),
        ])
    func metrics(_ statement: String, _ expected: String) throws {
        let result = try Evaluated.run([statement], Self.metrics, .metrics, .metric)
        #expect(result.json.contains(expected), "\(result.json) \(result.errors)")
        #expect(result.errors.isEmpty)
    }

    /// What a client sends in a histogram decides how often it is merged. Guarantees: the same buckets as merging the
    /// smallest neighbours again and again.
    @Test("the fewest values are merged first, the first of such")
    func bucketsAreMerged() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let count = Int.random(in: 1...40, using: &random)
            let limit = Int.random(in: 1...40, using: &random)
            let counts = (0..<count).map { _ in UInt64.random(in: 0...5, using: &random) }
            let bounds = (0..<count - 1).map { UInt64($0) }
            var expected = (bounds: bounds, counts: counts)
            while expected.counts.count > limit {
                let pairs = (0..<expected.counts.count - 1)
                let index = pairs.min {
                    expected.counts[$0] + expected.counts[$0 + 1] < expected.counts[$1]
                        + expected.counts[$1 + 1]
                }
                guard let index else { break }
                let joined = expected.counts.remove(at: index)
                expected.counts[index] += joined
                expected.bounds.remove(at: index)
            }
            var merged = (bounds: bounds, counts: counts)
            FewerBuckets.merge(&merged.bounds, &merged.counts, to: limit)
            #expect(
                merged.bounds == expected.bounds && merged.counts == expected.counts, "\(counts) \(limit)")
        }
        var many = (bounds: [UInt64](0..<99_999), counts: [UInt64](repeating: 1, count: 100_000))
        FewerBuckets.merge(&many.bounds, &many.counts, to: 10)
        #expect(many.counts.count == 10 && many.counts.reduce(0, +) == 100_000)
    }

    /// A function that matches what it makes would fill the memory.
    @Test("a statement that copies its own copies ends")
    func endless() throws {
        let result = try Evaluated.run(["copy_metric(name=\"c\")"], Self.metrics, .metrics, .metric)
        #expect(result.errors.contains { $0.contains("10001 new items from statements") })
    }
}
