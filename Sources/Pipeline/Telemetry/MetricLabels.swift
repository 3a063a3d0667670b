/// The labels of one time series, sorted by name, each name once.
///
/// `["receiver": "otlp", "transport": "grpc"]` and the same in the other order are equal. A name twice, or one
/// that Prometheus does not allow, is our bug and traps; values are arbitrary text.
package struct MetricLabels: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// As they are printed: `{a="1",b="2"}`, or empty for no labels.
    package let rendered: String

    /// Names and values, sorted by name.
    package let pairs: [(name: String, value: String)]

    /// Labels from names and values in any order.
    package init(_ pairs: [(name: String, value: String)]) {
        let sorted = pairs.sorted { $0.name < $1.name }
        for (index, pair) in sorted.enumerated() {
            precondition(isMetricName(pair.name, colons: false), "Not a label name: \(pair.name)")
            precondition(index == 0 || sorted[index - 1].name != pair.name, "Label twice: \(pair.name)")
        }
        self.pairs = sorted
        if sorted.isEmpty {
            rendered = ""
        } else {
            rendered =
                "{"
                + sorted.map { "\($0.name)=\"\(escapedLabelValue($0.value))\"" }
                .joined(separator: ",") + "}"
        }
    }

    /// Labels from a literal.
    package init(dictionaryLiteral elements: (String, String)...) {
        self.init(elements.map { (name: $0.0, value: $0.1) })
    }

    /// These labels and one more, whose name must be new. For a histogram's `le`.
    package func adding(_ name: String, _ value: String) -> MetricLabels {
        MetricLabels(pairs + [(name: name, value: value)])
    }

    package static func == (left: MetricLabels, right: MetricLabels) -> Bool {
        left.rendered == right.rendered
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(rendered)
    }
}

/// Whether `name` is a metric name, or without colons a label name, of the Prometheus text format.
func isMetricName(_ name: String, colons: Bool) -> Bool {
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
        return false
    }
    return name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            return true
        case UInt8(ascii: ":"):
            return colons
        default:
            return false
        }
    }
}

/// Backslash, quote and line feed escaped, as label values need.
func escapedLabelValue(_ text: String) -> String {
    escaped(text, quotes: true)
}

/// Backslash and line feed escaped, as HELP lines need.
func escapedHelp(_ text: String) -> String {
    escaped(text, quotes: false)
}

private func escaped(_ text: String, quotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\"" where quotes: result += "\\\""
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}
